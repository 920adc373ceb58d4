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

/// What is expected of this machine's best instruction set; a machine without vectors has nothing to guard.
struct Expected {
  double of_ceiling_in_cache;
  double over_scalar;
};

Expected expected() {
  const std::string best = available_targets().front();
  if (best == "avx512") return {.of_ceiling_in_cache = 0.19, .over_scalar = 9.5};
  if (best == "avx2") return {.of_ceiling_in_cache = 0.12, .over_scalar = 7};
  return {.of_ceiling_in_cache = 0, .over_scalar = best == "scalar" ? 0 : 1.5};
}

TEST(Gate, ElmCostsLittleMoreThanCrossEntropy) {
  EXPECT_LE(measure("elm", {256, 1000}, Dtype::f32).ratio_ce, 1.25);
  EXPECT_LE(measure("elm", {256, 8142}, Dtype::f32).ratio_ce, 1.25);
}

TEST(Gate, RowsInTheCacheKeepTheirShareOfTheCeiling) {
  EXPECT_GE(measure("elm", {64, 1000}, Dtype::f32).ceiling_fraction, expected().of_ceiling_in_cache);
}

TEST(Gate, VectorsPay) {
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round) {
    use_target("scalar");
    const double scalar = measure("elm", {64, 1000}, Dtype::f32).ns_per_element;
    use_target("");
    ratios.push_back(scalar / measure("elm", {64, 1000}, Dtype::f32).ns_per_element);
  }
  std::sort(ratios.begin(), ratios.end());
  EXPECT_GE(ratios[2], expected().over_scalar);
}

TEST(Gate, SmallBatchesPayForTheirElementsOnly) {
  const double wide = measure("elm", {64, 1000}, Dtype::f32).ns_per_element;
  EXPECT_LE(measure("elm", {128, 100}, Dtype::f32).ns_per_element / wide, 3.3);
  EXPECT_LE(measure("elm", {128, 10}, Dtype::f32).ns_per_element / wide, 11);
}

}  // namespace
}  // namespace ulmus::bench
