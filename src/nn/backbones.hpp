#pragma once

#include <memory>

#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

std::shared_ptr<ClassifierImpl> make_conv3(const ModelOptions& options);

/// `depth` = 6n + 2.
std::shared_ptr<ClassifierImpl> make_resnet(const ModelOptions& options, std::int64_t depth);

}  // namespace ulmus::detail
