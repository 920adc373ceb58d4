#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "ulmus/nn/model.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// SGD with momentum, or AdamW (betas 0.9 and 0.999, epsilon 1e-8), as the resolved options say, over the parameters
/// that require a gradient. `undecayed`: those of them without weight decay.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const ClassifierImpl& model, const RunOptions& options,
                                                        const std::vector<torch::Tensor>& undecayed);

/// Scales the gradients of the optimizer's parameters down to this Euclidean norm, all of them together, where they are
/// longer.
void clip_gradients(const torch::optim::Optimizer& optimizer, double norm);

}  // namespace ulmus::detail
