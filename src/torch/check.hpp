#pragma once

#include <vector>

#include "ulmus/torch/margin_loss.hpp"

namespace ulmus::detail {

/// Throws Error{data} for shapes, dtypes and devices that do not fit.
void check_tensors(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss, const HeadInputs& head);

/// True where the numbers of the loss and its offsets say all of it: no hook computes a loss or a term of its own.
bool is_composable(const Loss& loss);

/// What a batch adds to the state of a loss that carries one; the tensors may lie on any device.
std::vector<double> collect_update(const Loss& loss, const torch::Tensor& logits, const torch::Tensor& labels,
                                   const HeadInputs& head);

}  // namespace ulmus::detail
