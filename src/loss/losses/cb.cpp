// The class-balanced loss: effective-number weights on a softmax, a sigmoid or a sigmoid focal loss.
#include <cmath>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::cb {
namespace {

constexpr std::string_view k_cb_kinds[] = {"softmax", "sigmoid", "focal"};
constexpr Key k_keys[] = {
    {"kind", "softmax", {}, "of loss that is weighted", "Cui et al.", k_cb_kinds},
    k_beta,
    {"gamma", 1, k_not_negative, "exponent of the focal kind", "Cui et al.: 0.5, 1 or 2", {}, "kind=focal"}};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.class_weight = counts.effective_number_weights(keys["beta"]),
          .reduction = keys.word("kind") == "softmax" ? Reduction::weighted_mean : Reduction::mean};
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  if (keys.word("kind") == "softmax") return {};
  LossHooks hooks;
  hooks.initial_bias = -std::log(std::max<double>(1, static_cast<double>(counts.classes()) - 1));
  hooks.row_loss = [gamma = keys.word("kind") == "focal" ? keys["gamma"] : 0](const Sample& sample,
                                                                              std::span<double> gradient) {
    double loss = 0;
    for (std::size_t j = 0; j < gradient.size(); ++j) {
      const double sign = j == static_cast<std::size_t>(sample.label) ? 1 : -1, x = sign * sample.logits[j];
      // c = -log p and 1 - p = exp(-softplus(x)), p = sigmoid(x): no overflow, and small values keep their precision.
      const double c = softplus(-x), log_q = -softplus(x), q = std::exp(log_q);
      const double power = gamma == 0 ? 1 : std::exp(gamma * log_q);  // valid also if log_q is -infinity
      loss += power * c;
      gradient[j] = -sign * power * (q + gamma * std::exp(-c) * c);
    }
    return loss;
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "cb",
    .class_name = "CB",
    .title = "class-balanced loss: softmax, sigmoid or sigmoid focal",
    .equation =
        "w[j] = (1 - beta) / (1 - beta^n[j]), normalised to mean 1;  softmax: l = w[y] ce;  "
        "sigmoid: l = w[y] sum_j softplus(-t[j] z[j]), t[y] = 1, else -1;  "
        "focal: each term times (1 - sigmoid(t[j] z[j]))^gamma",
    .paper =
        "Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, "
        "arXiv 1901.05555",
    .advice = "A sure small gain over ce on a linear head; with kind=softmax it is ce+cb.",
    .pitfalls =
        "A widely copied port computes something else under the name softmax: binary cross entropy of "
        "softmax outputs. The sigmoid kinds are a mean over the samples even with weights, and start "
        "from biases of -log(C - 1).",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::cb
