#include "ulmus/eval/thresholds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "eval/score_samples.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/eval/score_metrics.hpp"

namespace ulmus {
namespace {

using Labels = std::vector<std::int64_t>;
using test::k_labels;
using test::k_scores;

const ScoreMatrix k_logs = log_scores(k_scores, false);
const CostMatrix k_cost_matrix{.classes = 3, .values = test::k_costs};

/// The metrics by their definitions, on predictions.
double score(const std::string& metric, const Labels& labels, const Labels& predicted, std::size_t classes,
             const std::vector<double>& costs = {}) {
  std::vector<SparseCounts> confusion(classes);
  std::vector<double> hits(classes, 0), support(classes, 0), chosen(classes, 0);
  double cost = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto y = static_cast<std::size_t>(labels[i]), k = static_cast<std::size_t>(predicted[i]);
    ++confusion[y][predicted[i]];
    support[y] += 1;
    chosen[k] += 1;
    hits[y] += y == k;
    if (!costs.empty()) cost += costs[y * classes + k];
  }
  if (metric == "mcc") return matthews_correlation(confusion);
  if (metric == "cost") return -cost / static_cast<double>(labels.size());
  double sum = 0, count = 0;
  for (std::size_t c = metric == "f1" && classes == 2 ? 1 : 0; c < classes; ++c) {
    if (support[c] == 0) continue;
    sum += metric == "f1" ? 2 * hits[c] / (support[c] + chosen[c]) : hits[c] / support[c];
    ++count;
  }
  return sum / count;
}

std::string message_of(const std::function<void()>& action, ErrorKind kind) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

// Values and offsets of fit_thresholds of the Python package on the same samples.

struct Fitted {
  const char* metric;
  double value;
  std::vector<double> offsets;
};

class ThreeClasses : public ::testing::TestWithParam<Fitted> {};

TEST_P(ThreeClasses, HaveTheOffsetsOfThePythonPackage) {
  ThresholdOptions options;
  if (std::string(GetParam().metric) == "cost") options.costs = k_cost_matrix;
  if (std::string(GetParam().metric).starts_with("recall")) options.positive = 2;
  const Thresholds fitted = fit_thresholds(k_logs, k_labels, ThresholdMetric::parse(GetParam().metric), options);
  EXPECT_NEAR(fitted.value, GetParam().value, 1e-12);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(fitted.offsets[j], GetParam().offsets[j], 1e-9) << j;
}

INSTANTIATE_TEST_SUITE_P(
    Thresholds, ThreeClasses,
    ::testing::Values(
        Fitted{"f1", 0.6854256854256854, {0.5049247747933873, -0.7833035399093632, 0.27837876511597615}},
        Fitted{"mcc", 0.6783067313125068, {-0.09686161070324747, 0.04843080535162373, 0.04843080535162373}},
        Fitted{"balanced", 0.6333333333333333, {0.38097863288262646, -0.907249681820124, 0.5262710489374977}},
        Fitted{"cost", 0.5625, {-1.112159954964288, -0.26393531025242295, 1.376095265216711}},
        Fitted{"recall@precision=0.4", 0.5, {0.4546561031815488, -0.9093122063630976, 0.4546561031815488}}));

TEST(Thresholds, TheThresholdOfTwoClassesIsTheBestOfAll) {
  const std::vector<double> costs = {0, 1, 7, 0};
  for (const std::uint64_t seed : {0, 1, 2})
    for (const char* metric : {"f1", "mcc", "balanced", "cost"}) {
      const test::RandomScores random(200, 2, seed);
      ThresholdOptions options;
      if (std::string(metric) == "cost") options.costs = CostMatrix{.classes = 2, .values = costs};
      const Thresholds fitted = fit_thresholds(random.logs, random.labels, ThresholdMetric::parse(metric), options);
      const ScoreMatrix p = probabilities(random.logs);
      double best = -1e300;
      for (std::int64_t i = -1; i < 200; ++i) {
        const double cut = i < 0 ? -1 : p.row(i)[1];
        Labels predicted;
        for (std::int64_t k = 0; k < 200; ++k) predicted.push_back(p.row(k)[1] > cut);
        best = std::max(best, score(metric, random.labels, predicted, 2, costs));
      }
      const Labels predicted = most_probable(random.logs, fitted.offsets);
      EXPECT_NEAR(score(metric, random.labels, predicted, 2, costs), best, 1e-12) << metric;
      EXPECT_NEAR(std::abs(fitted.value), std::abs(best), 1e-12) << metric;
      for (std::int64_t k = 0; k < 200; ++k)
        EXPECT_EQ(predicted[static_cast<std::size_t>(k)], p.row(k)[1] > fitted.threshold() ? 1 : 0);
    }
}

TEST(Thresholds, TheLargestRecallAtAPrecisionIsThatOfTheCurve) {
  const test::RandomScores random(400, 2, 3);
  const Thresholds fitted = fit_thresholds(random.logs, random.labels, ThresholdMetric::parse("recall@precision=0.6"));
  EXPECT_NEAR(fitted.value, *RankedScores(random.logs, random.labels, 1).metrics(0.6).recall_at_precision, 1e-12);
}

TEST(Thresholds, OfManyClassesAreConsistentAndNeverWorseThanNone) {
  for (const std::uint64_t seed : {0, 1})
    for (const char* metric : {"f1", "mcc", "balanced", "cost"}) {
      const test::RandomScores random(500, 7, seed);
      std::vector<double> costs;
      for (std::int64_t i = 0; i < 49; ++i) costs.push_back(i % 8 == 0 ? 0 : static_cast<double>(i % 5) + 1);
      ThresholdOptions options;
      if (std::string(metric) == "cost") options.costs = CostMatrix{.classes = 7, .values = costs};
      const Thresholds fitted = fit_thresholds(random.logs, random.labels, ThresholdMetric::parse(metric), options);
      const double reached = score(metric, random.labels, most_probable(random.logs, fitted.offsets), 7, costs);
      EXPECT_NEAR(reached, std::string(metric) == "cost" ? -fitted.value : fitted.value, 1e-12) << metric;
      EXPECT_GT(reached, score(metric, random.labels, most_probable(random.logs), 7, costs)) << metric;
      // No single offset can be moved to a better place.
      for (std::size_t j = 0; j < 7; ++j)
        for (double step = -3; step <= 3; step += 0.05) {
          std::vector<double> moved = fitted.offsets;
          moved[j] += step;
          EXPECT_LE(score(metric, random.labels, most_probable(random.logs, moved), 7, costs), reached + 1e-9)
              << metric << ' ' << j << ' ' << step;
        }
    }
}

TEST(Thresholds, ProbabilitiesOfZeroAndTiesAreNoTrouble) {
  const ScoreMatrix logs = log_scores({.classes = 2, .values = {1, 0, 1, 0, 0, 1, 0.5, 0.5, 0.5, 0.5}}, false);
  const Labels labels = {0, 1, 1, 1, 0};
  const Thresholds fitted = fit_thresholds(logs, labels, ThresholdMetric::parse("balanced"));
  EXPECT_NEAR(fitted.value, score("balanced", labels, most_probable(logs, fitted.offsets), 2), 1e-12);
}

TEST(Thresholds, LogitsFarBelowTheOthersAreNoTrouble) {
  const ScoreMatrix logs = log_scores({.classes = 3, .values = {5, 3, -4000, 2, 6, -5000}}, true);
  const Thresholds fitted = fit_thresholds(logs, Labels{0, 1}, ThresholdMetric::parse("balanced"));
  EXPECT_EQ(fitted.value, 1);
  for (const double offset : fitted.offsets) EXPECT_TRUE(std::isfinite(offset));
}

TEST(Thresholds, AStatedThresholdIsOfTheSecondClass) {
  EXPECT_NEAR(Thresholds::of_two(0.2).threshold(), 0.2, 1e-15);
  const ScoreMatrix logs = log_scores({.classes = 2, .values = {0.7, 0.3, 0.9, 0.1}}, false);
  EXPECT_EQ(most_probable(logs, Thresholds::of_two(0.2).offsets), (Labels{1, 0}));
  EXPECT_THROW(Thresholds::of_two(0), Error);
  EXPECT_THROW(Thresholds::of_two(1), Error);
}

TEST(ThresholdMetric, IsTheTextItWasMadeOf) {
  for (const char* text : {"f1", "mcc", "balanced", "cost", "recall@precision=0.9"})
    EXPECT_EQ(ThresholdMetric::parse(text).text(), text);
}

TEST(Thresholds, MistakesAreNamed) {
  const auto fit = [](const char* metric, ThresholdOptions options = {}) {
    return [=] { fit_thresholds(k_logs, k_labels, ThresholdMetric::parse(metric), options); };
  };
  EXPECT_EQ(message_of(fit("f2"), ErrorKind::usage), "unknown metric to maximise 'f2'; did you mean 'f1'?");
  EXPECT_EQ(message_of(fit("recall@precision=2"), ErrorKind::usage),
            "the precision in 'recall@precision=2' is not above 0 and at most 1");
  EXPECT_EQ(message_of(fit("cost"), ErrorKind::usage), "'cost' is to be minimised, but there are no costs; give cost");
  EXPECT_EQ(message_of(fit("mcc", {.positive = 1}), ErrorKind::usage),
            "positive is for f1 and recall@precision, not for 'mcc'; leave it out");
  EXPECT_EQ(message_of(fit("f1", {.positive = 3}), ErrorKind::usage), "positive is 3, expected a class from 0 to 2");
  EXPECT_EQ(message_of(fit("recall@precision=0.9"), ErrorKind::usage),
            "'recall@precision=0.9' is of one class; name it by positive");
  const ScoreMatrix two = log_scores({.classes = 2, .values = {0.5, 0.5, 0.2, 0.8}}, false);
  EXPECT_EQ(
      message_of(
          [&] {
            fit_thresholds(two, Labels{1, 0}, ThresholdMetric::parse("recall@precision=0.9"));
          },
          ErrorKind::data),
      "no threshold has the precision of 'recall@precision=0.9' on these samples, the highest is 0.5; ask for less");
  const Labels none(16, 0);
  EXPECT_EQ(message_of(
                [&] {
                  fit_thresholds(k_logs, none, ThresholdMetric::parse("recall@precision=0.9"),
                                 {.positive = 2, .class_names = {"a", "b", "fraud"}});
                },
                ErrorKind::data),
            "class 'fraud' has no samples, so no recall; give samples of it");
  EXPECT_NE(message_of([&] { fit_thresholds(k_logs, {}, {}); }, ErrorKind::data).find("0 labels"), std::string::npos);
}

}  // namespace
}  // namespace ulmus
