#include "ulmus/loss/class_counts.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

TEST(ClassCounts, RefusesNothingNegativeAndAllZero) {
  EXPECT_THROW(ClassCounts({}), Error);
  EXPECT_THROW(ClassCounts({3, -1}), Error);
  EXPECT_THROW(ClassCounts({0, 0}), Error);
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
