#pragma once

#include <torch/torch.h>

#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "ulmus/nn/model.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// SGD with momentum, or AdamW (betas 0.9 and 0.999, epsilon 1e-8), as the resolved options say, over the parameters
/// that require a gradient. `undecayed`: those of the head without weight decay. Parameters without a gradient are left
/// as they are by a step.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const ClassifierImpl& model, const RunOptions& options,
                                                        const std::vector<torch::Tensor>& undecayed);

/// Sets the learning rates of an optimizer from make_optimizer.
void set_rates(torch::optim::Optimizer& optimizer, double head, double backbone);

/// The key of a parameter's state in an optimizer: LibTorch keys it by text up to 1.13 and by address since.
template <class Map>
auto state_key(const Map&, const torch::Tensor& parameter) {
  if constexpr (std::is_same_v<typename Map::key_type, std::string>) {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    return text.str();
  } else {
    return static_cast<void*>(parameter.unsafeGetTensorImpl());
  }
}

/// Drops the state of a parameter whose values were replaced: moments and steps.
void forget(torch::optim::Optimizer& optimizer, const torch::Tensor& parameter);

/// Scales the gradients of the optimizer's parameters down to this Euclidean norm, all of them together, where they are
/// longer.
void clip_gradients(const torch::optim::Optimizer& optimizer, double norm);

}  // namespace ulmus::detail
