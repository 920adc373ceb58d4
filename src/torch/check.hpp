#pragma once

#include "ulmus/torch/margin_loss.hpp"

namespace ulmus::detail {

/// Throws Error{data} for shapes, dtypes and devices that do not fit.
void check_tensors(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss, const HeadInputs& head);

}  // namespace ulmus::detail
