#include "ulmus/eval/score_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/sample_metrics.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

using detail::SampleMetrics;

constexpr std::size_t k_bins = 15;
constexpr double k_curve_resolution = 0.005;

void check(const Decisions& decisions, std::span<const std::int64_t> labels) {
  if (labels.empty()) throw Error(ErrorKind::data, "cannot evaluate an empty set; give at least one sample");
  if (decisions.logs.rows() != std::ssize(labels) || decisions.predicted.size() != labels.size())
    throw Error(ErrorKind::data, fmt::format("cannot evaluate {} rows of scores and {} predictions against {} labels",
                                             decisions.logs.rows(), decisions.predicted.size(), labels.size()));
}

std::vector<ReliabilityBin> reliability(const ScoreMatrix& p, std::span<const std::int64_t> labels,
                                        std::int64_t positive) {
  std::vector<ReliabilityBin> bins(k_bins);
  for (std::int64_t i = 0; i < p.rows(); ++i) {
    const std::span<const double> row = p.row(i);
    const auto j = p.classes == 2 ? positive : std::ranges::max_element(row) - row.begin();
    const double confidence = row[static_cast<std::size_t>(j)];
    const auto place = static_cast<std::int64_t>(std::ceil(confidence * static_cast<double>(k_bins))) - 1;
    ReliabilityBin& bin = bins[static_cast<std::size_t>(std::clamp<std::int64_t>(place, 0, k_bins - 1))];
    ++bin.samples;
    bin.confidence += confidence;
    bin.share += labels[i] == j;
  }
  for (ReliabilityBin& bin : bins) {
    const double samples = static_cast<double>(std::max<std::int64_t>(bin.samples, 1));
    bin.confidence /= samples;
    bin.share /= samples;
  }
  return bins;
}

std::int64_t total(const SparseCounts& counts) {
  std::int64_t sum = 0;
  for (const auto& [j, count] : counts) sum += count;
  return sum;
}

std::vector<ScoredClass> classes_of(const std::vector<SparseCounts>& confusion, const std::vector<RankedScores>& ranked,
                                    double precision) {
  std::vector<ScoredClass> classes(confusion.size());
  std::vector<double> predicted(confusion.size(), 0), hits(confusion.size(), 0);
  double samples = 0;
  for (std::size_t y = 0; y < confusion.size(); ++y) {
    classes[y].support = total(confusion[y]);
    samples += static_cast<double>(classes[y].support);
    for (const auto& [j, count] : confusion[y]) {
      predicted[static_cast<std::size_t>(j)] += static_cast<double>(count);
      if (static_cast<std::size_t>(j) == y) hits[y] = static_cast<double>(count);
    }
  }
  for (std::size_t c = 0; c < classes.size(); ++c) {
    ScoredClass& result = classes[c];
    const auto support = static_cast<double>(result.support);
    result.predicted = predicted[c] > 0;
    result.decision = {.precision = result.predicted ? hits[c] / predicted[c] : 0,
                       .recall = support > 0 ? hits[c] / support : 0,
                       .false_positive_rate = samples > support ? (predicted[c] - hits[c]) / (samples - support) : 0};
    result.ranking = ranked[c].metrics(precision);
    result.curve = ranked[c].curve(k_curve_resolution);
  }
  return classes;
}

ScoredSide side_of(const Decisions& decisions, const SampleMetrics& metrics, std::span<const std::int64_t> labels,
                   const ComparisonOptions& options) {
  ScoredSide side{.confusion = std::vector<SparseCounts>(static_cast<std::size_t>(decisions.logs.classes))};
  for (std::size_t i = 0; i < labels.size(); ++i)
    ++side.confusion[static_cast<std::size_t>(labels[i])][decisions.predicted[i]];
  side.classes = classes_of(side.confusion, metrics.ranked(), options.precision);
  side.reliability = reliability(probabilities(decisions.logs), labels, options.positive.value_or(1));
  return side;
}

}  // namespace

ScoreComparison compare_scores(const Decisions& before, const Decisions& after, std::span<const std::int64_t> labels,
                               const ComparisonOptions& options) {
  check(before, labels);
  check(after, labels);
  const std::int64_t classes = before.logs.classes;
  const SampleMetrics metrics_before(before, labels, options), metrics_after(after, labels, options);
  const auto names = SampleMetrics::names(classes, options);
  std::vector<double> weights(labels.size(), 1);
  const std::vector<double> was = metrics_before.values(weights), is = metrics_after.values(weights);

  std::vector<std::vector<double>> resampled_before(names.size()), resampled_after(names.size()), changes(names.size());
  const StratifiedBootstrap bootstrap(labels, classes, options.seed);
  for (std::int64_t r = 0; r < options.resamples; ++r) {
    bootstrap.draw(static_cast<std::uint64_t>(r), weights);
    const std::vector<double> a = metrics_before.values(weights), b = metrics_after.values(weights);
    for (std::size_t m = 0; m < names.size(); ++m) {
      resampled_before[m].push_back(a[m]);
      resampled_after[m].push_back(b[m]);
      changes[m].push_back(b[m] - a[m]);
    }
  }
  ScoreComparison comparison{.samples = std::ssize(labels),
                             .resamples = options.resamples,
                             .precision = options.precision,
                             .positive = classes == 2 ? std::optional(options.positive.value_or(1)) : std::nullopt,
                             .before = side_of(before, metrics_before, labels, options),
                             .after = side_of(after, metrics_after, labels, options)};
  for (std::size_t m = 0; m < names.size(); ++m)
    comparison.metrics.push_back({.name = names[m].name,
                                  .label = names[m].label,
                                  .fraction = names[m].fraction,
                                  .better = names[m].better,
                                  .before = estimate(was[m], std::move(resampled_before[m])),
                                  .after = estimate(is[m], std::move(resampled_after[m])),
                                  .change = estimate(is[m] - was[m], std::move(changes[m]))});
  return comparison;
}

}  // namespace ulmus
