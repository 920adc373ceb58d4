// Seesaw loss: lowers incorrect logits according to how much rarer their class is, and raises them if their class is
// predicted in place of the true one.
#include <algorithm>
#include <cmath>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::seesaw {
namespace {

constexpr Key k_keys[] = {{"p", 0.8, k_not_negative, "strength of the mitigation by counts", "mmdetection"},
                          {"q", 2, k_not_negative, "strength of the compensation of mistakes", "mmdetection"},
                          {"eps", 0.01, k_positive, "smallest true probability in Q", "mmdetection"},
                          k_scale};

KernelParams make_params(const KeyValues& keys, const ClassCounts&) {
  return {.scale = keys["scale"], .reduction = Reduction::mean};
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  LossHooks hooks;
  hooks.row_offset = [p = keys["p"], q = keys["q"], eps = keys["eps"], scale = keys["scale"]](
                         const Sample& sample, const LossState& state, std::span<double> offset) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::vector<double> score(sample.logits.begin(), sample.logits.end());
    for (double& u : score) u *= scale;
    const double log_sum = softmax(score);
    const double log_true = std::log(std::max(score[y], eps)), own = std::max(1.0, state.values[y]);
    for (std::size_t j = 0; j < offset.size(); ++j) {
      if (j == y) continue;
      const double count = std::max(1.0, state.values[j]);
      const double excess = scale * sample.logits[j] - log_sum - log_true;
      offset[j] += (count < own ? p * std::log(count / own) : 0) + std::max(0.0, q * excess);
    }
  };
  hooks.initial_state.assign(static_cast<std::size_t>(counts.classes()), 0);
  hooks.collect_update = [](const BatchView& batch, const LossState&) {
    std::vector<double> seen(static_cast<std::size_t>(batch.classes));
    for (const std::int64_t label : batch.labels)
      if (label >= 0) ++seen[static_cast<std::size_t>(label)];
    return seen;
  };
  hooks.apply_update = [](LossState& state, std::span<const double> seen) {
    for (std::size_t j = 0; j < seen.size(); ++j) state.values[j] += seen[j];
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "seesaw",
    .class_name = "Seesaw",
    .title = "seesaw loss",
    .equation =
        "l = log sum_j exp(u[j]) - u[y],  u[j] = s z[j] + log(M[j] Q[j]) for j != y,  "
        "M[j] = min(1, n[j] / n[y])^p,  Q[j] = max(1, P[j] / max(P[y], eps))^q,  P = softmax(s z), "
        "n the samples seen so far",
    .paper =
        "Wang, Zhang, Zang, Cao, Pang, Gong, Chen, Liu, Loy, Lin: Seesaw Loss for Long-Tailed Instance "
        "Segmentation, CVPR 2021, arXiv 2008.10032",
    .advice = "Needs no counts in advance: it counts as it goes.",
    .pitfalls =
        "M and Q are constant for the gradient. The counts are state: they are saved with a checkpoint and "
        "counted once a training batch, before its loss. The classification part only.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .has_constant_part = true,
    .shardable = false,
};

}  // namespace ulmus::detail::seesaw
