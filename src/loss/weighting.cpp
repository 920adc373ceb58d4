#include "loss/weighting.hpp"

namespace ulmus::detail {
Weighting weigh(const LossBatch& batch, std::span<const double> class_weights) {
  Weighting result;
  result.weights.resize(batch.labels.size());
  result.class_weights.assign(batch.labels.size(), 1);
  double sum = 0, samples = 0;
  std::int64_t counted = 0;
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    const std::int64_t label = batch.labels[i];
    if (label == batch.ignore_index) continue;
    if (!class_weights.empty()) result.class_weights[i] = class_weights[static_cast<std::size_t>(label)];
    const double of_sample = batch.sample_weights.empty() ? 1 : batch.sample_weights[i];
    result.weights[i] = of_sample * result.class_weights[i];
    sum += result.weights[i];
    samples += of_sample;
    ++counted;
  }
  if (batch.reduction == Reduction::none) return result;
  const bool weighted = batch.reduction == Reduction::weighted_mean;
  const auto count = static_cast<double>(counted);
  result.normaliser = batch.normaliser.value_or(weighted ? Normaliser{sum, samples} : Normaliser{count, count});
  result.gradient_scale = result.normaliser.divisor > 0 ? 1 / result.normaliser.divisor : 0;
  return result;
}

std::vector<std::int64_t> counted_labels(const LossBatch& batch, std::span<const double> weights) {
  std::vector<std::int64_t> labels(batch.labels.begin(), batch.labels.end());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (weights.empty() ? labels[i] == batch.ignore_index : !(weights[i] > 0)) labels[i] = -1;
  return labels;
}

}  // namespace ulmus::detail
