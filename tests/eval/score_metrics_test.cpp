#include "ulmus/eval/score_metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/score_samples.hpp"

namespace ulmus {
namespace {

using test::k_labels;
using test::k_scores;

RankedScores ranked(std::int64_t of_class) { return {k_scores, k_labels, of_class}; }

// The numbers are scikit-learn 1.9.1's for the same samples, one class against the others.

TEST(ScoreMetrics, AveragePrecisionIsThatOfScikitLearn) {
  EXPECT_NEAR(*ranked(0).metrics(1).average_precision, 0.9534662867996202, 1e-14);
  EXPECT_NEAR(*ranked(1).metrics(1).average_precision, 0.7535714285714286, 1e-14);
  EXPECT_NEAR(*ranked(2).metrics(1).average_precision, 0.34090909090909094, 1e-14);
}

TEST(ScoreMetrics, AreaUnderRocIsThatOfScikitLearn) {
  EXPECT_NEAR(*ranked(0).metrics(1).area_under_roc, 0.9285714285714285, 1e-14);
  EXPECT_NEAR(*ranked(1).metrics(1).area_under_roc, 0.8363636363636364, 1e-14);
  EXPECT_NEAR(*ranked(2).metrics(1).area_under_roc, 0.6607142857142856, 1e-14);
}

TEST(ScoreMetrics, RecallAtAPrecisionIsThatOfTheCurve) {
  EXPECT_EQ(*ranked(0).metrics(0.5).recall_at_precision, 1);
  EXPECT_EQ(*ranked(2).metrics(0.5).recall_at_precision, 0.5);
  EXPECT_EQ(*ranked(2).metrics(0.6).recall_at_precision, 0);  // no threshold has it
}

TEST(ScoreMetrics, PrecisionAndRecallAtAThresholdIncludeEqualScores) {
  const OperatingPoint low = ranked(1).at(0.3), high = ranked(0).at(0.5);
  EXPECT_NEAR(low.precision, 5.0 / 9, 1e-14);
  EXPECT_EQ(low.recall, 1);
  EXPECT_NEAR(low.false_positive_rate, 4.0 / 11, 1e-14);
  EXPECT_NEAR(high.precision, 8.0 / 9, 1e-14);  // one probability is exactly 0.5
  EXPECT_NEAR(high.recall, 8.0 / 9, 1e-14);
  EXPECT_EQ(ranked(2).at(0.99).precision, 0);  // predicted never
}

TEST(ScoreMetrics, BrierScoreIsHalfForTwoClasses) {
  EXPECT_NEAR(brier_score(k_scores, k_labels), 0.371525, 1e-12);
  EXPECT_NEAR(brier_score(test::last_class_alone(), test::is_last_class()), 0.10190625, 1e-12);
}

TEST(ScoreMetrics, MatthewsCorrelationIsThatOfScikitLearn) {
  const auto confusion = [](const std::vector<std::int64_t>& predicted) {
    std::vector<SparseCounts> counts(3);
    for (std::size_t i = 0; i < predicted.size(); ++i) ++counts[static_cast<std::size_t>(k_labels[i])][predicted[i]];
    return counts;
  };
  EXPECT_NEAR(matthews_correlation(confusion(most_probable(log_scores(k_scores, false)))), 0.41032745177929075, 1e-14);
  EXPECT_EQ(matthews_correlation(confusion(k_labels)), 1);
  EXPECT_EQ(matthews_correlation(confusion(std::vector<std::int64_t>(16, 0))), 0);
}

TEST(ScoreMetrics, AClassWithoutSamplesHasNone) {
  const std::vector<std::int64_t> none(16, 0);
  const RankedScores missing(k_scores, none, 1), alone(k_scores, none, 0);
  EXPECT_FALSE(missing.metrics(0.5).average_precision);
  EXPECT_FALSE(missing.metrics(0.5).area_under_roc);
  EXPECT_FALSE(missing.metrics(0.5).recall_at_precision);
  EXPECT_EQ(alone.metrics(0.5).average_precision, 1);
  EXPECT_FALSE(alone.metrics(0.5).area_under_roc);
  const std::vector<std::optional<double>> values = {0.5, std::nullopt, 1.0};
  EXPECT_EQ(macro_mean(values), 0.75);
  EXPECT_EQ(macro_mean(std::span(values).subspan(1, 1)), std::nullopt);
}

TEST(ScoreMetrics, AWeightIsANumberOfSamples) {
  const test::RandomScores random(60, 3);
  std::vector<double> weights;
  ScoreMatrix repeated{.classes = 3};
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < 60; ++i) {
    weights.push_back(static_cast<double>(i % 3));
    for (std::int64_t k = 0; k < i % 3; ++k) {
      repeated.values.insert(repeated.values.end(), random.logs.row(i).begin(), random.logs.row(i).end());
      labels.push_back(random.labels[static_cast<std::size_t>(i)]);
    }
  }
  for (std::int64_t c = 0; c < 3; ++c) {
    const RankingMetrics weighted = RankedScores(random.logs, random.labels, c).metrics(0.4, weights);
    const RankingMetrics plain = RankedScores(repeated, labels, c).metrics(0.4);
    EXPECT_NEAR(*weighted.average_precision, *plain.average_precision, 1e-12);
    EXPECT_NEAR(*weighted.area_under_roc, *plain.area_under_roc, 1e-12);
    EXPECT_NEAR(*weighted.recall_at_precision, *plain.recall_at_precision, 1e-12);
  }
}

TEST(ScoreMetrics, TheCurveHasAPointForEveryDistinctScore) {
  const auto curve = ranked(0).curve();
  EXPECT_EQ(curve.size(), 13u);  // 16 samples, 0.79, 0.29 and 0.12 twice
  EXPECT_EQ(curve.front().threshold, 0.96);
  EXPECT_EQ(curve.back().recall, 1);
  EXPECT_EQ(curve.back().false_positive_rate, 1);
  const auto thin = ranked(0).curve(0.3);
  EXPECT_LT(thin.size(), curve.size());
  EXPECT_EQ(thin.back().threshold, curve.back().threshold);
}

}  // namespace
}  // namespace ulmus
