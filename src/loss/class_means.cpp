#include "loss/class_means.hpp"

#include <algorithm>
#include <cmath>

namespace ulmus::detail {

namespace {

/// The update by a batch: for each class the number of samples, [C], then the sum of their features, [C, D].
std::vector<double> collect_class_sums(const BatchView& batch) {
  const auto& features = batch.features.features;
  std::vector<double> delta(static_cast<std::size_t>(batch.classes * (1 + features.columns)));
  double* sums = delta.data() + batch.classes;
  for (std::int64_t i = 0; i < batch.rows; ++i) {
    const std::int64_t label = batch.labels[static_cast<std::size_t>(i)];
    const double* feature = features.row(i);
    const auto finite = [](double x) { return std::isfinite(x); };
    // The loss of such a batch is NaN anyway; the means must not become NaN permanently.
    if (label < 0 || !std::all_of(feature, feature + features.columns, finite)) continue;
    ++delta[static_cast<std::size_t>(label)];
    for (std::int64_t k = 0; k < features.columns; ++k) sums[label * features.columns + k] += feature[k];
  }
  return delta;
}

/// mean = momentum * mean + (1 - momentum) * batch mean; for the first batch the batch mean itself.
void apply_class_means(LossState& state, std::span<const double> delta, double momentum, std::int64_t classes) {
  const auto width = static_cast<std::int64_t>(delta.size()) / classes - 1;
  state.values.resize(delta.size());
  state.feature_width = width;
  for (std::int64_t c = 0; c < classes; ++c) {
    const double count = delta[static_cast<std::size_t>(c)];
    if (count == 0) continue;
    double& batches = state.values[static_cast<std::size_t>(c)];
    const double kept = batches == 0 ? 0 : momentum;
    for (std::int64_t k = 0; k < width; ++k) {
      const auto at = static_cast<std::size_t>(classes + c * width + k);
      state.values[at] = kept * state.values[at] + (1 - kept) * delta[at] / count;
    }
    ++batches;
  }
}

}  // namespace

void keep_class_means(LossHooks& hooks, double momentum, std::int64_t classes) {
  hooks.class_means = true;
  hooks.collect_update = [](const BatchView& batch, const LossState&) { return collect_class_sums(batch); };
  hooks.apply_update = [momentum, classes](LossState& state, std::span<const double> delta) {
    apply_class_means(state, delta, momentum, classes);
  };
}

}  // namespace ulmus::detail
