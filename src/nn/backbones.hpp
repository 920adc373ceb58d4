#pragma once

#include <memory>
#include <string>

#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

std::shared_ptr<ClassifierImpl> make_conv3(const ModelOptions& options);

/// `resnetN` with N = 6n + 2.
std::shared_ptr<ClassifierImpl> make_cifar_resnet(const ModelOptions& options);

std::shared_ptr<ClassifierImpl> make_resnet18(const ModelOptions& options);
std::shared_ptr<ClassifierImpl> make_resnet50(const ModelOptions& options);
std::shared_ptr<ClassifierImpl> make_resnext50(const ModelOptions& options);

std::shared_ptr<ClassifierImpl> make_wide_resnet(const ModelOptions& options);

/// `mlp` with the keys of its name.
std::shared_ptr<ClassifierImpl> make_mlp(const ModelOptions& options);

/// Weights of its linear layers and its head.
double mlp_parameters(const ModelOptions& options);

std::shared_ptr<ClassifierImpl> make_linear(const ModelOptions& options);

/// The file behind `torchscript:`.
std::shared_ptr<ClassifierImpl> make_torchscript(const ModelOptions& options);

/// What follows the colon of a model's name; empty without one.
std::string argument_of(const std::string& name);

}  // namespace ulmus::detail
