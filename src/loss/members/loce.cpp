// LOCE's equilibrium loss: logits raised by the running mean of the score that each class gets when it is the true one.
#include <algorithm>
#include <cmath>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_loce_params(const KeyValues& keys, const ClassCounts& counts) {
  constexpr double k_first_score = 0.01;  // Feng et al.
  KernelParams params{.scale = keys["scale"], .reduction = Reduction::mean};
  const auto classes = static_cast<std::size_t>(counts.classes());
  params.hooks.initial_state.assign(classes, k_first_score);
  params.hooks.row_offset = [](const Sample&, const LossState& state, std::span<double> offset) {
    for (std::size_t j = 0; j < offset.size(); ++j) offset[j] += std::log(state.values[j]);
  };
  // The delta is the sum of the true classes' scores, then how many samples made it. [2 C]
  params.hooks.collect_update = [scale = params.scale, classes](const BatchView& batch, const LossState&) {
    std::vector<double> delta(2 * classes), row(classes);
    for (std::int64_t i = 0; i < batch.rows; ++i) {
      const std::int64_t label = batch.labels[static_cast<std::size_t>(i)];
      if (label < 0) continue;
      batch.read_logits(i, row);
      for (double& u : row) u *= scale;
      softmax(row);
      const double score = row[static_cast<std::size_t>(label)];
      if (!std::isfinite(score)) continue;  // the loss of such a batch is no number; the means shall not stay so
      delta[static_cast<std::size_t>(label)] += score;
      ++delta[classes + static_cast<std::size_t>(label)];
    }
    return delta;
  };
  params.hooks.apply_update = [momentum = keys["momentum"], classes](LossState& state, std::span<const double> delta) {
    for (std::size_t j = 0; j < classes; ++j)
      if (delta[classes + j] > 0)
        state.values[j] =
            momentum * state.values[j] + (1 - momentum) * std::min(delta[j], delta[classes + j]) / delta[classes + j];
  };
  return params;
}

}  // namespace ulmus::detail
