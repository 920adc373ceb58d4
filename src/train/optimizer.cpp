#include "train/optimizer.hpp"

#include <algorithm>

namespace ulmus::detail {
namespace {

template <class Optimizer, class Options>
std::unique_ptr<torch::optim::Optimizer> make(const std::vector<torch::Tensor>& decayed,
                                              const std::vector<torch::Tensor>& undecayed, const Options& options) {
  auto optimizer = std::make_unique<Optimizer>(decayed, options);
  if (!undecayed.empty()) {
    auto without = std::make_unique<Options>(options);
    without->weight_decay(0);
    optimizer->add_param_group({undecayed, std::move(without)});
  }
  return optimizer;
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const ClassifierImpl& model, const RunOptions& options,
                                                        const std::vector<torch::Tensor>& undecayed) {
  std::vector<torch::Tensor> decayed = model.parameters();
  std::erase_if(decayed, [&](const torch::Tensor& parameter) {
    return !parameter.requires_grad() ||
           std::ranges::any_of(undecayed, [&](const torch::Tensor& other) { return parameter.is_same(other); });
  });
  const double rate = options.lr.value_or(0);  // the trainer sets the rate at every step
  if (options.optimizer == "adamw")
    return make<torch::optim::AdamW>(decayed, undecayed,
                                     torch::optim::AdamWOptions(rate).weight_decay(options.weight_decay.value()));
  return make<torch::optim::SGD>(
      decayed, undecayed,
      torch::optim::SGDOptions(rate).momentum(options.momentum).weight_decay(options.weight_decay.value()));
}

void forget(torch::optim::Optimizer& optimizer, const torch::Tensor& parameter) {
  auto& states = optimizer.state();
  states.erase(state_key(states, parameter));
}

void clip_gradients(const torch::optim::Optimizer& optimizer, double norm) {
  std::vector<torch::Tensor> parameters;
  for (const auto& group : optimizer.param_groups())
    parameters.insert(parameters.end(), group.params().begin(), group.params().end());
  torch::nn::utils::clip_grad_norm_(parameters, norm);
}

}  // namespace ulmus::detail
