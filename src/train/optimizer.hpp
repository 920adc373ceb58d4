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

/// Makes SGD with momentum or AdamW (betas 0.9 and 0.999, epsilon 1e-8), according to the resolved options, for the
/// parameters that require a gradient. `undecayed`: parameters of the head without weight decay. A step leaves
/// parameters without a gradient unchanged.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const ClassifierImpl& model, const RunOptions& options,
                                                        const std::vector<torch::Tensor>& undecayed);

/// Sets the learning rates of an optimizer from make_optimizer.
void set_rates(torch::optim::Optimizer& optimizer, double head, double backbone);

/// The key of a parameter's state in an optimizer: text in LibTorch up to 1.13, an address since then.
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

/// Drops the state (moments and steps) of a parameter whose values were replaced.
void forget(torch::optim::Optimizer& optimizer, const torch::Tensor& parameter);

/// Scales down the gradients of all parameters of the optimizer if their joint Euclidean norm exceeds `norm`.
void clip_gradients(const torch::optim::Optimizer& optimizer, double norm);

}  // namespace ulmus::detail
