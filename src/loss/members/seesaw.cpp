// Seesaw loss: wrong logits lowered by how much rarer their class is, and raised where it is mistaken for the true one.
#include <algorithm>
#include <cmath>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_seesaw_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"], .reduction = Reduction::mean};
  params.hooks.row_offset = [p = keys["p"], q = keys["q"], eps = keys["eps"], scale = params.scale](
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
  params.hooks.initial_state.assign(static_cast<std::size_t>(counts.classes()), 0);
  params.hooks.collect_update = [](const BatchView& batch, const LossState&) {
    std::vector<double> seen(static_cast<std::size_t>(batch.classes));
    for (const std::int64_t label : batch.labels)
      if (label >= 0) ++seen[static_cast<std::size_t>(label)];
    return seen;
  };
  params.hooks.apply_update = [](LossState& state, std::span<const double> seen) {
    for (std::size_t j = 0; j < seen.size(); ++j) state.values[j] += seen[j];
  };
  return params;
}

}  // namespace ulmus::detail
