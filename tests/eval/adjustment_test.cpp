#include "ulmus/eval/adjustment.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "eval/score_samples.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/eval/score_comparison.hpp"

namespace ulmus {
namespace {

using test::k_labels;
using test::k_scores;

const std::vector<std::string> k_names = {"a", "b", "c"};
const std::vector<double> k_prior = {0.55, 0.30, 0.15}, k_uniform(3, 1.0 / 3);

LabelledScores samples() { return {.logs = log_scores(k_scores, false), .labels = k_labels}; }

const ComparedMetric& metric(const ScoreComparison& comparison, std::string_view name) {
  for (const ComparedMetric& candidate : comparison.metrics)
    if (candidate.name == name) return candidate;
  throw std::runtime_error("no such metric");
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(ScoreAdjustment, TemperaturePriorAndThresholdsAreAppliedInOrder) {
  const LabelledScores validation = samples();
  const ScoreAdjustment adjustment({.class_names = k_names,
                                    .trained_prior = k_prior,
                                    .prior = k_uniform,
                                    .fit_temperature = true,
                                    .maximise = ThresholdMetric::parse("balanced")},
                                   &validation);
  EXPECT_NEAR(adjustment.temperature(), 0.7896299138804694, 1e-5);
  ScoreMatrix expected = validation.logs;
  apply_temperature(expected, adjustment.temperature(), k_prior);
  correct_prior(expected, k_prior, k_uniform);
  const ScoreMatrix adjusted = adjustment.apply(validation.logs);
  for (std::size_t i = 0; i < expected.values.size(); ++i) EXPECT_NEAR(adjusted.values[i], expected.values[i], 1e-12);
  EXPECT_EQ(adjustment.predict(adjusted), most_probable(expected, adjustment.thresholds()->offsets));
  ASSERT_EQ(adjustment.steps().size(), 4u);
  EXPECT_EQ(adjustment.steps()[0], "temperature 0.7896, fitted by log loss on the validation file");
  EXPECT_EQ(adjustment.steps()[1], "prior corrected from a 0.55, b 0.3, c 0.15 to a 0.3333, b 0.3333, c 0.3333");
}

TEST(ScoreAdjustment, CostsAloneDecideByLeastExpectedCost) {
  const CostMatrix costs{.classes = 3, .values = test::k_costs};
  const ScoreAdjustment adjustment({.class_names = k_names, .costs = costs}, nullptr);
  EXPECT_EQ(adjustment.predict(samples().logs), decide(samples().logs, costs));
}

TEST(ScoreAdjustment, AThresholdIsOfThePositiveClass) {
  const ScoreMatrix logs = log_scores({.classes = 2, .values = {0.3, 0.7, 0.1, 0.9}}, false);
  const AdjustmentPlan plan{.class_names = {"fraud", "fine"}, .threshold = 0.2, .positive = 0};
  const ScoreAdjustment adjustment(plan, nullptr);
  EXPECT_EQ(adjustment.predict(logs), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(adjustment.steps(), (std::vector<std::string>{"'fraud' predicted above a probability of 0.2"}));
}

TEST(ScoreAdjustment, PartsThatDoNotGoTogetherAreNamed) {
  const auto make = [](AdjustmentPlan plan) { return [plan] { ScoreAdjustment(plan, nullptr); }; };
  EXPECT_NE(message_of(make({.class_names = k_names, .fit_temperature = true})).find("give fit"), std::string::npos);
  EXPECT_NE(message_of(make({.class_names = k_names, .prior = k_uniform})).find("give counts"), std::string::npos);
  EXPECT_NE(message_of(make({.class_names = k_names, .posthoc = PostHoc::parse("la")})).find("give counts"),
            std::string::npos);
  EXPECT_NE(message_of(make({.class_names = k_names, .posthoc = PostHoc::parse("mla")})).find("write la:tau=1"),
            std::string::npos);
  EXPECT_NE(message_of(make({.class_names = k_names, .threshold = 0.5})).find("is of two classes, and there are 3"),
            std::string::npos);
}

TEST(ScoreComparison, HasTheMetricsOfBothSides) {
  const ScoreMatrix logs = samples().logs;
  const Decisions before{.logs = logs, .predicted = most_probable(logs)}, after{.logs = logs, .predicted = k_labels};
  const ScoreComparison comparison = compare_scores(
      before, after, k_labels, {.costs = CostMatrix{.classes = 3, .values = test::k_costs}, .precision = 0.5});
  // Recalls 8/9, 3/5 and 0; scikit-learn's values.
  EXPECT_NEAR(metric(comparison, "balanced_accuracy").before.value, (8.0 / 9 + 3.0 / 5) / 3, 1e-12);
  EXPECT_NEAR(metric(comparison, "accuracy").before.value, 11.0 / 16, 1e-12);
  EXPECT_NEAR(metric(comparison, "mcc").before.value, 0.41032745177929075, 1e-12);
  EXPECT_NEAR(metric(comparison, "average_precision").before.value,
              (0.9534662867996202 + 0.7535714285714286 + 0.34090909090909094) / 3, 1e-12);
  EXPECT_NEAR(metric(comparison, "brier").before.value, 0.371525, 1e-12);
  EXPECT_NEAR(metric(comparison, "recall_at_precision").before.value, 2.5 / 3, 1e-12);
  EXPECT_NEAR(metric(comparison, "cost").before.value, (1 + 3 * 2 + 5 + 20) / 16.0, 1e-12);
  EXPECT_EQ(metric(comparison, "cost").after.value, 0);
  EXPECT_EQ(metric(comparison, "balanced_accuracy").after.value, 1);
  EXPECT_EQ(metric(comparison, "brier").change.value, 0);
  EXPECT_EQ(comparison.before.confusion[1], (SparseCounts{{0, 2}, {1, 3}}));
  EXPECT_NEAR(comparison.before.classes[0].decision.precision, 8.0 / 11, 1e-12);
  EXPECT_EQ(comparison.before.classes[2].predicted, false);
  std::int64_t samples_in_bins = 0;
  for (const ReliabilityBin& bin : comparison.before.reliability) samples_in_bins += bin.samples;
  EXPECT_EQ(samples_in_bins, 16);
}

TEST(ScoreComparison, IntervalsAreReproducibleAndContainTheValue) {
  const test::RandomScores random(300, 3, 1);
  const Decisions before{.logs = random.logs, .predicted = most_probable(random.logs)};
  const Decisions after{.logs = random.logs, .predicted = most_probable(random.logs, std::vector<double>{0, 1, 2})};
  const ScoreComparison one = compare_scores(before, after, random.labels, {.resamples = 200});
  const ScoreComparison again = compare_scores(before, after, random.labels, {.resamples = 200});
  const ScoreComparison other = compare_scores(before, after, random.labels, {.resamples = 200, .seed = 1});
  for (std::size_t m = 0; m < one.metrics.size(); ++m) {
    const Estimate& estimate = one.metrics[m].after;
    EXPECT_LE(estimate.low, estimate.value) << one.metrics[m].name;
    EXPECT_GE(estimate.high, estimate.value) << one.metrics[m].name;
    EXPECT_EQ(estimate.low, again.metrics[m].after.low);
    EXPECT_EQ(one.metrics[m].change.high, again.metrics[m].change.high);
  }
  EXPECT_NE(one.metrics[0].after.low, other.metrics[0].after.low);
  EXPECT_TRUE(std::isnan(compare_scores(before, after, random.labels, {.resamples = 0}).metrics[0].after.low));
}

TEST(ScoreComparison, AnIntervalOfAccuracyIsThatOfAProportion) {
  // 400 samples of one class, 100 of them wrong: the standard error of a proportion is 0.02165.
  ScoreMatrix scores{.classes = 2};
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 401; ++i) {
    const double p = i < 100 ? 0.9 : 0.1;
    scores.values.insert(scores.values.end(), {1 - p, p});
    labels.push_back(i == 400 ? 1 : 0);
  }
  const ScoreMatrix logs = log_scores(scores, false);
  const Decisions decisions{.logs = logs, .predicted = most_probable(logs)};
  const ScoreComparison comparison = compare_scores(decisions, decisions, labels, {.resamples = 2000});
  const Estimate& recall = metric(comparison, "balanced_accuracy").before;  // class 1 is always wrong: half of class 0
  EXPECT_NEAR(recall.high - recall.low, 2 * 1.96 * 0.02165 / 2, 0.004);
  EXPECT_EQ(metric(comparison, "balanced_accuracy").change.low, 0);
}

}  // namespace
}  // namespace ulmus
