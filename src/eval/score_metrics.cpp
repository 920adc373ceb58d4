#include "ulmus/eval/score_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "eval/divide.hpp"

namespace ulmus {

using detail::divide;

RankedScores::RankedScores(const ScoreMatrix& scores, std::span<const std::int64_t> labels, std::int64_t of_class)
    : order_(labels.size()) {
  const auto score = [&](std::uint32_t i) { return scores.row(i)[static_cast<std::size_t>(of_class)]; };
  std::iota(order_.begin(), order_.end(), 0U);
  std::ranges::stable_sort(order_, [&](std::uint32_t a, std::uint32_t b) { return score(a) > score(b); });
  for (const std::uint32_t i : order_) {
    ranked_.push_back(score(i));
    is_class_.push_back(labels[i] == of_class);
  }
}

/// Calls at_threshold(score, predicted, hits) for every distinct score, with the weight of all samples at or above it
/// and of those of the class.
template <class Visit>
void RankedScores::visit(std::span<const double> weights, Visit at_threshold) const {
  double predicted = 0, hits = 0;
  for (std::size_t k = 0; k < order_.size(); ++k) {
    const double weight = weights.empty() ? 1 : weights[order_[k]];
    predicted += weight;
    hits += is_class_[k] * weight;
    if (k + 1 == order_.size() || ranked_[k + 1] != ranked_[k]) at_threshold(ranked_[k], predicted, hits);
  }
}

/// The numbers of samples of the class, and of the others.
std::pair<double, double> RankedScores::totals() const {
  const auto of_class = static_cast<double>(std::ranges::count(is_class_, 1));
  return {of_class, static_cast<double>(is_class_.size()) - of_class};
}

RankingMetrics RankedScores::metrics(double precision, std::span<const double> weights) const {
  double steps = 0, area = 0, most = 0, last_predicted = 0, last_hits = 0;
  visit(weights, [&](double, double predicted, double hits) {
    area += (predicted - hits - last_predicted + last_hits) * (hits + last_hits) / 2;
    last_predicted = predicted;
    if (hits == last_hits) return;  // a lower precision at the same recall
    const double reached = hits / predicted;
    steps += (hits - last_hits) * reached;
    if (reached >= precision) most = hits;
    last_hits = hits;
  });
  const double of_class = last_hits, others = last_predicted - last_hits;
  RankingMetrics metrics;
  if (of_class == 0) return metrics;
  metrics.average_precision = steps / of_class;
  metrics.recall_at_precision = most / of_class;
  if (others > 0) metrics.area_under_roc = area / (of_class * others);
  return metrics;
}

OperatingPoint RankedScores::at(double threshold) const {
  const auto [of_class, others] = totals();
  OperatingPoint point{.threshold = threshold};
  visit({}, [&, of_class = of_class, others = others](double score, double predicted, double hits) {
    if (score >= threshold)
      point = {threshold, hits / predicted, divide(hits, of_class), divide(predicted - hits, others)};
  });
  return point;
}

std::vector<OperatingPoint> RankedScores::curve(double resolution) const {
  const auto [of_class, others] = totals();
  const auto differs = [&](double a, double b) { return std::abs(a - b) >= resolution; };
  std::vector<OperatingPoint> points;
  OperatingPoint last;
  bool left_out = false;
  visit({}, [&, of_class = of_class, others = others](double score, double predicted, double hits) {
    last = {score, hits / predicted, divide(hits, of_class), divide(predicted - hits, others)};
    const OperatingPoint* kept = points.empty() ? nullptr : &points.back();
    left_out = kept && !differs(last.precision, kept->precision) && !differs(last.recall, kept->recall) &&
               !differs(last.false_positive_rate, kept->false_positive_rate);
    if (!left_out) points.push_back(last);
  });
  if (left_out) points.push_back(last);
  return points;
}

std::optional<double> macro_mean(std::span<const std::optional<double>> values) {
  double sum = 0, count = 0;
  for (const std::optional<double>& value : values) {
    if (!value) continue;
    sum += *value;
    ++count;
  }
  return count == 0 ? std::nullopt : std::optional(sum / count);
}

double brier_score(const ScoreMatrix& probabilities, std::span<const std::int64_t> labels) {
  double sum = 0;
  for (std::int64_t i = 0; i < probabilities.rows(); ++i)
    for (std::int64_t j = 0; j < probabilities.classes; ++j) {
      const double error = probabilities.row(i)[static_cast<std::size_t>(j)] - (labels[i] == j ? 1 : 0);
      sum += error * error;
    }
  return sum / static_cast<double>(labels.size()) / (probabilities.classes == 2 ? 2 : 1);
}

double matthews_correlation(double samples, double hits, double both, double support2, double predicted2) {
  const double spread = (samples * samples - support2) * (samples * samples - predicted2);
  return spread > 0 ? (samples * hits - both) / std::sqrt(spread) : 0;
}

double matthews_correlation(std::span<const SparseCounts> confusion) {
  std::vector<double> support(confusion.size(), 0), predicted(confusion.size(), 0);
  double hits = 0;
  for (std::size_t y = 0; y < confusion.size(); ++y)
    for (const auto& [j, count] : confusion[y]) {
      const auto n = static_cast<double>(count);
      support[y] += n;
      predicted[static_cast<std::size_t>(j)] += n;
      if (static_cast<std::size_t>(j) == y) hits += n;
    }
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  return matthews_correlation(std::accumulate(support.begin(), support.end(), 0.0), hits, dot(support, predicted),
                              dot(support, support), dot(predicted, predicted));
}

}  // namespace ulmus
