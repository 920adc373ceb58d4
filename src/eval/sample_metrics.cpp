#include "eval/sample_metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ulmus/base/text.hpp"
#include "ulmus/eval/evaluator.hpp"

namespace ulmus::detail {
namespace {

constexpr double k_none = std::numeric_limits<double>::quiet_NaN();

std::size_t positive_of(const ComparisonOptions& options) {
  return static_cast<std::size_t>(options.positive.value_or(1));
}

/// Weights of the samples of a class, of the predictions of it, and of those that are right.
struct ClassSums {
  std::vector<double> support, predicted, hits;
  double samples = 0;

  ClassSums(std::int64_t classes, std::span<const std::int64_t> labels, std::span<const std::int64_t> predictions,
            std::span<const double> weights)
      : support(static_cast<std::size_t>(classes), 0), predicted(support), hits(support) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto y = static_cast<std::size_t>(labels[i]), k = static_cast<std::size_t>(predictions[i]);
      support[y] += weights[i];
      predicted[k] += weights[i];
      if (y == k) hits[y] += weights[i];
      samples += weights[i];
    }
  }
  double recall(std::size_t c) const { return support[c] > 0 ? hits[c] / support[c] : k_none; }
  double precision(std::size_t c) const { return predicted[c] > 0 ? hits[c] / predicted[c] : 0; }
  double f1(std::size_t c) const { return support[c] > 0 ? 2 * hits[c] / (support[c] + predicted[c]) : k_none; }

  double mean(double (ClassSums::*of_class)(std::size_t) const) const {
    double sum = 0, count = 0;
    for (std::size_t c = 0; c < support.size(); ++c) {
      if (support[c] == 0) continue;
      sum += (this->*of_class)(c);
      ++count;
    }
    return sum / count;
  }
  double worst() const {
    double least = 1;
    for (std::size_t c = 0; c < support.size(); ++c)
      if (support[c] > 0) least = std::min(least, recall(c));
    return least;
  }
  double accuracy() const {
    double sum = 0;
    for (const double hit : hits) sum += hit;
    return sum / samples;
  }
  double mcc() const {
    double right = 0, both = 0, support2 = 0, predicted2 = 0;
    for (std::size_t c = 0; c < support.size(); ++c) {
      right += hits[c];
      both += support[c] * predicted[c];
      support2 += support[c] * support[c];
      predicted2 += predicted[c] * predicted[c];
    }
    return matthews_correlation(samples, right, both, support2, predicted2);
  }
};

}  // namespace

SampleMetrics::SampleMetrics(const Decisions& decisions, std::span<const std::int64_t> labels,
                             const ComparisonOptions& options)
    : classes_(decisions.logs.classes), labels_(labels), predicted_(decisions.predicted), options_(options) {
  const ScoreMatrix p = probabilities(decisions.logs);
  const double half = classes_ == 2 ? 0.5 : 1;
  for (std::int64_t i = 0; i < p.rows(); ++i) {
    const auto y = static_cast<std::size_t>(labels[i]);
    const std::span<const double> row = p.row(i);
    double squares = 0;
    for (std::size_t j = 0; j < row.size(); ++j) squares += (row[j] - (j == y)) * (row[j] - (j == y));
    squared_.push_back(half * squares);
    surprise_.push_back(-decisions.logs.row(i)[y]);
    const auto top = std::ranges::max_element(row);
    confidence_.push_back(*top);
    top_is_right_.push_back(static_cast<std::size_t>(top - row.begin()) == y);
  }
  for (std::int64_t c = 0; c < classes_; ++c) ranked_.emplace_back(p, labels, c);
}

std::vector<SampleMetrics::Name> SampleMetrics::names(std::int64_t classes, const ComparisonOptions& options) {
  const bool two = classes == 2;
  std::vector<Name> names = {{"balanced_accuracy", "balanced accuracy", true, 1},
                             {"accuracy", "accuracy", true, 1},
                             {"macro_f1", "macro-F1", true, 1},
                             {"mcc", "Matthews correlation", false, 1},
                             {"worst_class", "recall of the worst class", true, 1}};
  if (two)
    names.insert(names.end(),
                 {{"precision", "precision", true, 1}, {"recall", "recall", true, 1}, {"f1", "F1", true, 1}});
  if (options.costs) names.push_back({"cost", "mean cost", false, -1});
  names.insert(
      names.end(),
      {{"average_precision", two ? "average precision" : "average precision, macro", true, 1},
       {"roc_auc", two ? "area under ROC" : "area under ROC, macro", true, 1},
       {"recall_at_precision",
        fmt::format("recall at precision {}{}", format_number(options.precision), two ? "" : ", macro"), true, 1},
       {"brier", "Brier score", false, -1},
       {"ece", "expected calibration error", true, -1},
       {"nll", "NLL", false, -1}});
  return names;
}

std::vector<double> SampleMetrics::values(std::span<const double> weights) const {
  const ClassSums sums(classes_, labels_, predicted_, weights);
  std::vector<double> values = {sums.mean(&ClassSums::recall), sums.accuracy(), sums.mean(&ClassSums::f1), sums.mcc(),
                                sums.worst()};
  const std::size_t positive = positive_of(options_);
  if (classes_ == 2) values.insert(values.end(), {sums.precision(positive), sums.recall(positive), sums.f1(positive)});
  double cost = 0, squared = 0, surprise = 0;
  Calibration calibration;
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (options_.costs) cost += weights[i] * options_.costs->at(labels_[i], predicted_[i]);
    squared += weights[i] * squared_[i];
    surprise += weights[i] * surprise_[i];
    if (weights[i] > 0) calibration.add(confidence_[i], top_is_right_[i] != 0, weights[i]);
  }
  if (options_.costs) values.push_back(cost / sums.samples);

  std::vector<std::optional<double>> precision, roc, recall;
  for (std::size_t c = 0; c < ranked_.size(); ++c) {
    if (classes_ == 2 && c != positive) continue;
    const RankingMetrics metrics = ranked_[c].metrics(options_.precision, weights);
    precision.push_back(metrics.average_precision);
    roc.push_back(metrics.area_under_roc);
    recall.push_back(metrics.recall_at_precision);
  }
  for (const auto& each : {precision, roc, recall}) values.push_back(macro_mean(each).value_or(k_none));
  values.push_back(squared / sums.samples);
  values.push_back(calibration.error(sums.samples));
  values.push_back(surprise / sums.samples);
  return values;
}

}  // namespace ulmus::detail
