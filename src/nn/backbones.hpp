#pragma once

#include <memory>

#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// A convolution without bias that keeps the size of the image where the stride is 1.
inline torch::nn::Conv2d padded_conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
                                     std::int64_t groups = 1) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).groups(groups).bias(false));
}

std::shared_ptr<ClassifierImpl> make_conv3(const ModelOptions& options);

/// `resnetN` with N = 6n + 2.
std::shared_ptr<ClassifierImpl> make_cifar_resnet(const ModelOptions& options);

std::shared_ptr<ClassifierImpl> make_resnet18(const ModelOptions& options);
std::shared_ptr<ClassifierImpl> make_resnet50(const ModelOptions& options);
std::shared_ptr<ClassifierImpl> make_resnext50(const ModelOptions& options);

/// `efficientnet-liteN` with N from 0 to 2.
std::shared_ptr<ClassifierImpl> make_efficientnet_lite(const ModelOptions& options);

std::shared_ptr<ClassifierImpl> make_wide_resnet(const ModelOptions& options);

/// `mlp` with the keys of its name.
std::shared_ptr<ClassifierImpl> make_mlp(const ModelOptions& options);

std::shared_ptr<ClassifierImpl> make_linear(const ModelOptions& options);

/// The file behind `torchscript:`.
std::shared_ptr<ClassifierImpl> make_torchscript(const ModelOptions& options);

}  // namespace ulmus::detail
