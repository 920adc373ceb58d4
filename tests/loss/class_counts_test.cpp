#include "ulmus/loss/class_counts.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

TEST(ClassCounts, RefusesNothingNegativeAndAllZero) {
  EXPECT_THROW(ClassCounts({}), Error);
  EXPECT_THROW(ClassCounts({3, -1}), Error);
  EXPECT_THROW(ClassCounts({0, 0}), Error);
}

TEST(ClassCounts, RefusesASumBeyondInt64) {
  constexpr std::int64_t quarter = std::int64_t{1} << 62;
  EXPECT_EQ(ClassCounts({quarter, quarter - 1}).total(), 2 * (quarter - 1) + 1);
  EXPECT_THROW(ClassCounts({quarter, quarter}), Error);
  EXPECT_THROW(ClassCounts({quarter, quarter, quarter}), Error);
}

TEST(ClassCounts, PowersOfAnySizeAreWeights) {
  const ClassCounts counts({5000, 50, 0, 5});
  for (const double rho : {1000.0, -1000.0, 1e30, -1e30, 150.0}) {
    const auto weights = counts.power_weights(rho);
    EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 3, 1e-12) << rho;
    EXPECT_EQ(weights[2], 0);
    EXPECT_NEAR(weights[rho > 0 ? 3 : 0], 3, 1e-12) << rho;
  }
  // On both sides of the switch to logarithms.
  const ClassCounts two({999, 1});
  EXPECT_NEAR(two.power_weights(80)[0] / two.power_weights(90)[0], std::pow(999.0, 10), 1e-9 * std::pow(999.0, 10));
}

TEST(ClassCounts, WeightsSumToTheNumberOfClasses) {
  const ClassCounts counts({5000, 700, 3});
  for (const auto& weights : {counts.effective_number_weights(0.999), counts.inverse_frequency_weights()})
    EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 3, 1e-12);
}

TEST(ClassCounts, BetaZeroWeighsEveryClassTheSame) {
  EXPECT_EQ(ClassCounts({5000, 700, 3}).effective_number_weights(0), (std::vector<double>{1, 1, 1}));
}

TEST(ClassCounts, BetaNearOneApproachesInverseFrequency) {
  const ClassCounts counts({5000, 700, 3});
  const auto near_one = counts.effective_number_weights(1 - 1e-12);
  const auto inverse = counts.inverse_frequency_weights();
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(near_one[j], inverse[j], 1e-4);
  EXPECT_THROW(counts.effective_number_weights(1), Error);
}

TEST(ClassCounts, AClassWithoutSamplesHasWeightZeroAndTheLargestMargin) {
  const ClassCounts counts({100, 0, 1});
  EXPECT_EQ(counts.effective_number_weights(0.99)[1], 0);
  EXPECT_EQ(counts.inverse_frequency_weights()[1], 0);
  const auto weights = counts.inverse_frequency_weights();
  EXPECT_NEAR(weights[0] + weights[2], 2, 1e-12);
  EXPECT_EQ(counts.ldam_margins(0.5)[1], 0.5);
  EXPECT_EQ(counts.imbalance_ratio(), 100);
}

TEST(ClassCounts, EqualCountsHaveRatioOneAndTheLargestMarginEverywhere) {
  const ClassCounts counts({7, 7});
  EXPECT_EQ(counts.imbalance_ratio(), 1);
  EXPECT_EQ(counts.ldam_margins(0.3), (std::vector<double>{0.3, 0.3}));
}

TEST(ShotGroup, HasItsLimitsInTheMedium) {
  EXPECT_EQ(shot_group(101), ShotGroup::many);
  EXPECT_EQ(shot_group(100), ShotGroup::medium);
  EXPECT_EQ(shot_group(20), ShotGroup::medium);
  EXPECT_EQ(shot_group(19), ShotGroup::few);
}

}  // namespace
}  // namespace ulmus
