#include "loss/weighting.hpp"

namespace ulmus::detail {
namespace {

double sample_weight(const LossBatch& batch, std::size_t i) {
  return batch.sample_weights.empty() ? 1 : batch.sample_weights[i];
}

double class_weight(std::span<const double> class_weights, std::int64_t label) {
  return class_weights.empty() ? 1 : class_weights[static_cast<std::size_t>(label)];
}

}  // namespace

Normaliser normaliser_of(const LossBatch& batch, std::span<const double> class_weights) {
  if (batch.reduction == Reduction::none) return {};
  double sum = 0, samples = 0;
  std::int64_t counted = 0;
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    if (batch.labels[i] == batch.ignore_index) continue;
    sum += sample_weight(batch, i) * class_weight(class_weights, batch.labels[i]);
    samples += sample_weight(batch, i);
    ++counted;
  }
  if (batch.reduction == Reduction::weighted_mean) return {sum, samples};
  return {static_cast<double>(counted), static_cast<double>(counted)};
}

Weighting weigh(const LossBatch& batch, std::span<const double> class_weights) {
  Weighting result;
  result.weights.resize(batch.labels.size());
  result.class_weights.assign(batch.labels.size(), 1);
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    if (batch.labels[i] == batch.ignore_index) continue;
    result.class_weights[i] = class_weight(class_weights, batch.labels[i]);
    result.weights[i] = sample_weight(batch, i) * result.class_weights[i];
  }
  const bool stated = batch.normaliser && batch.reduction != Reduction::none;
  const Normaliser normaliser = stated ? *batch.normaliser : normaliser_of(batch, class_weights);
  result.gradient_scale = normaliser.divisor > 0 ? 1 / normaliser.divisor : 0;
  result.sample_divisor = normaliser.samples;
  return result;
}

std::vector<std::int64_t> counted_labels(const LossBatch& batch, std::span<const double> weights) {
  std::vector<std::int64_t> labels(batch.labels.begin(), batch.labels.end());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (weights.empty() ? labels[i] == batch.ignore_index : !(weights[i] > 0)) labels[i] = -1;
  return labels;
}

}  // namespace ulmus::detail
