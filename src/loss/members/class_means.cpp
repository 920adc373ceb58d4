#include "loss/members/class_means.hpp"

namespace ulmus::detail {

std::vector<double> measure_class_sums(const WholeBatch& batch) {
  const auto& features = batch.features.features;
  std::vector<double> change(static_cast<std::size_t>(batch.classes * (1 + features.columns)));
  double* sums = change.data() + batch.classes;
  for (std::int64_t i = 0; i < batch.rows; ++i) {
    const std::int64_t label = batch.labels[static_cast<std::size_t>(i)];
    if (label < 0) continue;
    ++change[static_cast<std::size_t>(label)];
    for (std::int64_t k = 0; k < features.columns; ++k) sums[label * features.columns + k] += features.row(i)[k];
  }
  return change;
}

void advance_class_means(LossState& state, std::span<const double> change, double momentum, std::int64_t classes) {
  state.values.resize(change.size());
  const auto width = static_cast<std::int64_t>(change.size()) / classes - 1;
  for (std::int64_t c = 0; c < classes; ++c) {
    const double count = change[static_cast<std::size_t>(c)];
    if (count == 0) continue;
    double& batches = state.values[static_cast<std::size_t>(c)];
    const double kept = batches == 0 ? 0 : momentum;
    for (std::int64_t k = 0; k < width; ++k) {
      const auto at = static_cast<std::size_t>(classes + c * width + k);
      state.values[at] = kept * state.values[at] + (1 - kept) * change[at] / count;
    }
    ++batches;
  }
}

}  // namespace ulmus::detail
