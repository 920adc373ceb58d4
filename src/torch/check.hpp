#pragma once

#include <vector>

#include "ulmus/torch/margin_loss.hpp"

namespace ulmus::detail {

/// Throws Error{data} for shapes, dtypes and devices that do not match.
void check_tensors(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss, const HeadInputs& head);

/// True if the parameters of the loss and its offsets determine it: no hook computes its own loss or term.
bool is_composable(const Loss& loss);

/// Computes a batch's update of the state of a loss; the tensors may be on any device.
std::vector<double> collect_update(const Loss& loss, const torch::Tensor& logits, const torch::Tensor& labels,
                                   const HeadInputs& head);

}  // namespace ulmus::detail
