#include "train/optimizer.hpp"

#include <algorithm>

#include "train/optimizer_spec.hpp"

namespace ulmus::detail {
namespace {

/// The parameters in groups: those below the head, those of the head, and those of the head without weight decay.
struct Groups {
  std::vector<torch::Tensor> backbone, head, undecayed;
};

bool contains(const std::vector<torch::Tensor>& tensors, const torch::Tensor& tensor) {
  return std::ranges::any_of(tensors, [&](const torch::Tensor& other) { return tensor.is_same(other); });
}

template <class Optimizer, class Options>
std::unique_ptr<torch::optim::Optimizer> make(const Groups& groups, const Options& options) {
  auto optimizer = std::make_unique<Optimizer>(groups.backbone, options);
  optimizer->add_param_group({groups.head, std::make_unique<Options>(options)});
  if (!groups.undecayed.empty()) {
    auto without = std::make_unique<Options>(options);
    without->weight_decay(0);
    optimizer->add_param_group({groups.undecayed, std::move(without)});
  }
  return optimizer;
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const ClassifierImpl& model, const RunOptions& options,
                                                        const std::vector<torch::Tensor>& undecayed) {
  const std::vector<torch::Tensor> backbone = backbone_parameters(model);
  Groups groups{.backbone = {}, .head = {}, .undecayed = undecayed};
  for (const torch::Tensor& parameter : model.parameters())
    if (parameter.requires_grad() && !contains(undecayed, parameter))
      (contains(backbone, parameter) ? groups.backbone : groups.head).push_back(parameter);
  const double rate = options.lr.value_or(0);  // the trainer sets that of every step
  const double decay = options.weight_decay.value();
  if (OptimizerSpec::parse(options.optimizer).base == "adamw")
    return make<torch::optim::AdamW>(groups, torch::optim::AdamWOptions(rate).weight_decay(decay));
  return make<torch::optim::SGD>(groups, torch::optim::SGDOptions(rate).momentum(options.momentum).weight_decay(decay));
}

void set_rates(torch::optim::Optimizer& optimizer, double head, double backbone) {
  auto& groups = optimizer.param_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) groups[g].options().set_lr(g == 0 ? backbone : head);
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
