// LOCE's equilibrium loss: raises each logit by the running mean of the score that its class gets as the true class.
#include <algorithm>
#include <cmath>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::loce {
namespace {

constexpr Key k_keys[] = {{"momentum", 0.9, {0, 1, false, true}, "of the running mean", "LOCE code"}, k_scale};

constexpr double k_first_score = 0.01;  // Feng et al.

KernelParams make_params(const KeyValues& keys, const ClassCounts&) {
  return {.scale = keys["scale"], .reduction = Reduction::mean};
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  const auto classes = static_cast<std::size_t>(counts.classes());
  LossHooks hooks;
  hooks.initial_state.assign(classes, k_first_score);
  hooks.row_offset = [](const Sample&, const LossState& state, std::span<double> offset) {
    for (std::size_t j = 0; j < offset.size(); ++j) offset[j] += std::log(state.values[j]);
  };
  // The delta is the sum of the true classes' scores, then the number of samples per class. [2 C]
  hooks.collect_update = [scale = keys["scale"], classes](const BatchView& batch, const LossState&) {
    std::vector<double> delta(2 * classes), row(classes);
    for (std::int64_t i = 0; i < batch.rows; ++i) {
      const std::int64_t label = batch.labels[static_cast<std::size_t>(i)];
      if (label < 0) continue;
      batch.read_logits(i, row);
      for (double& u : row) u *= scale;
      softmax(row);
      const double score = row[static_cast<std::size_t>(label)];
      if (!std::isfinite(score)) continue;  // the loss is NaN anyway; keep the means finite
      delta[static_cast<std::size_t>(label)] += score;
      ++delta[classes + static_cast<std::size_t>(label)];
    }
    return delta;
  };
  hooks.apply_update = [momentum = keys["momentum"], classes](LossState& state, std::span<const double> delta) {
    for (std::size_t j = 0; j < classes; ++j)
      if (delta[classes + j] > 0)
        state.values[j] =
            momentum * state.values[j] + (1 - momentum) * std::min(delta[j], delta[classes + j]) / delta[classes + j];
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "loce",
    .class_name = "LOCE",
    .title = "LOCE equilibrium loss",
    .equation =
        "l = log sum_j exp(s z[j] + log r[j]) - s z[y] - log r[y],  r[j] the running mean of softmax(s z)[j] "
        "over the samples of class j",
    .paper =
        "Feng, Zhong, Huang: Exploring Classification Equilibrium in Long-Tailed Object Detection, ICCV 2021, "
        "arXiv 2108.07507",
    .advice = "Logit adjustment by how the classes fare in training instead of by their counts.",
    .pitfalls =
        "The mean scores are state, saved with a checkpoint. They begin at 0.01 for every class. Without the "
        "detector's background class and memory of features.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
};

}  // namespace ulmus::detail::loce
