// Equalisation loss: samples of other classes do not push down the logits of rare classes.
#include <cmath>
#include <limits>

#include "loss/definition.hpp"
#include "loss/random_step.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::eql {
namespace {

constexpr std::string_view k_eql_kinds[] = {"softmax", "sigmoid"};
constexpr Key k_keys[] = {
    {"kind", "softmax", {}, "of loss", "Tan et al.", k_eql_kinds},
    {"lambda", 0.005, {0, 1}, "a class with a smaller share of the samples is rare", "CIFAR-100; CIFAR-10: 0.05"},
    {"gamma", 0.9, {0, 1}, "probability with which a rare class is spared", "Tan et al.", {}, "kind=softmax"}};

constexpr double k_prior_probability = 0.001;  // Tan et al.

KernelParams make_params(const KeyValues&, const ClassCounts&) { return {.reduction = Reduction::mean}; }

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  std::vector<bool> rare;
  for (const double share : counts.prior()) rare.push_back(share < keys["lambda"]);
  LossHooks hooks;
  if (keys.word("kind") == "sigmoid") {
    hooks.initial_bias = std::log(k_prior_probability / (1 - k_prior_probability));
    hooks.row_loss = [rare](const Sample& sample, std::span<double> gradient) {
      double loss = 0;
      for (std::size_t j = 0; j < gradient.size(); ++j) {
        const bool own = j == static_cast<std::size_t>(sample.label);
        const double sign = own ? 1 : -1, c = rare[j] && !own ? 0 : softplus(-sign * sample.logits[j]);
        loss += c;
        gradient[j] = sign * std::expm1(-c);
      }
      return loss;
    };
    return hooks;
  }
  count_batches(hooks);
  hooks.row_offset = [rare, gamma = keys["gamma"]](const Sample& sample, const LossState& state,
                                                   std::span<double> offset) {
    Stream stream = draws_of("eql", sample, state);
    for (std::size_t j = 0; j < offset.size(); ++j) {
      if (!rare[j] || j == static_cast<std::size_t>(sample.label)) continue;
      const bool spared = sample.noise.empty() ? stream.uniform() < gamma : sample.noise[j] != 0;
      if (spared) offset[j] = -std::numeric_limits<double>::infinity();
    }
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "eql",
    .class_name = "EQL",
    .title = "equalisation loss",
    .equation =
        "softmax: l = log sum_k w[k] exp(z[k]) - z[y],  w[k] = 1 - b[k] [pi[k] < lambda] for k != y,  "
        "b[k] = 1 with probability gamma;  sigmoid: l = sum_j w[j] softplus(-t[j] z[j]) with b = 1",
    .paper =
        "Tan, Wang, Li, Li, Ouyang, Yin, Yan: Equalization Loss for Long-Tailed Object Recognition, CVPR 2020, "
        "arXiv 2003.05176",
    .advice =
        "Rare classes are spared the push of other classes' samples; set lambda so that the few-shot classes "
        "are below it.",
    .pitfalls =
        "lambda is compared with the share of all samples, not with a count. A row whose wrong classes are "
        "all spared has loss 0. The sigmoid kind is without background rows.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
};

}  // namespace ulmus::detail::eql
