#include <gtest/gtest.h>

#include <algorithm>

#include "ulmus/bench/bench.hpp"
#include "ulmus/loss/target.hpp"

/// The performance gate: ratios within one run, on one thread, at about two thirds of what they are on a quiet machine,
/// so that noise passes and a slowdown of half again does not.
namespace ulmus::bench {
namespace {

Record measure(const std::string& loss, Size size, Dtype dtype) {
  return run({.losses = {loss},
              .sizes = {size},
              .dtypes = {dtype},
              .threads = {1},
              .rounds = 101,  // many and short: most of them between two interruptions
              .seconds = 0.0003,
              .peers = false})
      .front();
}

TEST(Gate, ElmCostsLittleMoreThanCrossEntropy) {
  EXPECT_LE(measure("elm", {256, 1000}, Dtype::f32).ratio_ce, 1.3);
  EXPECT_LE(measure("elm", {256, 8142}, Dtype::f32).ratio_ce, 1.3);
}

TEST(Gate, RowsOutOfCacheGoAtTheSpeedOfMemory) {
  if (available_targets().front() == "scalar") GTEST_SKIP() << "this machine has no vectors";
  EXPECT_GE(measure("elm", {512, 8142}, Dtype::f32).ceiling_fraction, 0.5);
}

TEST(Gate, VectorsPay) {
  const std::string best = available_targets().front();
  const double expected = best == "avx512" ? 8 : best == "avx2" ? 6 : best == "scalar" ? 0 : 1.5;
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round) {
    use_target("scalar");
    const double scalar = measure("elm", {64, 1000}, Dtype::f32).ns_per_element;
    use_target(best);
    ratios.push_back(scalar / measure("elm", {64, 1000}, Dtype::f32).ns_per_element);
  }
  use_target("");
  std::sort(ratios.begin(), ratios.end());
  EXPECT_GE(ratios[2], expected) << best;
}

TEST(Gate, SmallBatchesPayForTheirElementsOnly) {
  const double wide = measure("elm", {256, 1000}, Dtype::f32).ns_per_element;
  EXPECT_LE(measure("elm", {128, 100}, Dtype::f32).ns_per_element / wide, 4.5);
  EXPECT_LE(measure("elm", {128, 10}, Dtype::f32).ns_per_element / wide, 14);
}

}  // namespace
}  // namespace ulmus::bench
