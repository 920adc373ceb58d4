#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "loss/row_kernel.hpp"
#include "ulmus/bench/bench.hpp"
#include "ulmus/loss/target.hpp"

/// The performance gate: ratios within one run, on one thread. The limits are about two thirds of the values on a quiet
/// machine, so that noise passes and a slowdown by half fails.
namespace ulmus::bench {
namespace {

Record measure(const std::string& loss, Size size, Dtype dtype) {
  return run({.losses = {LossSpec::parse(loss)},
              .sizes = {size},
              .dtypes = {dtype},
              .threads = {1},
              .rounds = 101,  // many and short, so that most of them fall between two interruptions
              .seconds = 0.0003,
              .peers = false})
      .front();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Maximum time of a row relative to its exponentials: 1.9 with AVX-512, 2.1 to 2.4 with AVX2 (two AMD EPYCs);
/// computing each exponential twice adds 1.
/// There is no limit for the share of the memory bandwidth, because it depends on the processor more than on the
/// kernel.
constexpr double k_over_exponentials = 2.6;

/// The expected speedup of this machine's best instruction set; without vector instructions nothing is checked.
double expected_over_scalar() {
  const std::string best = available_targets().front();
  if (best == "avx512") return 9.5;
  if (best == "avx2") return 7;
  return best == "scalar" ? 0 : 1.5;
}

TEST(Gate, ElmCostsLittleMoreThanCrossEntropy) {
  EXPECT_LE(measure("elm", {256, 1000}, Dtype::f32).ratio_ce, 1.25);
  EXPECT_LE(measure("elm", {256, 8142}, Dtype::f32).ratio_ce, 1.25);
}

/// Time of the kernels' exponential alone, in ns per element of an array in the cache.
double exponential_ns(std::size_t n) {
  using Clock = std::chrono::steady_clock;
  std::vector<float> x(n), e(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = -static_cast<float>(i % 97) / 10;
  std::vector<double> ns;
  for (int round = 0; round < 301; ++round) {
    const auto begin = Clock::now();
    detail::row_kernels().exp_f32(1, x.data(), e.data(), static_cast<std::int64_t>(n));
    ns.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / static_cast<double>(n));
  }
  return median(std::move(ns));
}

TEST(Gate, RowsInTheCacheCostLittleMoreThanTheirExponentials) {
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round)
    ratios.push_back(measure("elm", {64, 1000}, Dtype::f32).ns_per_element / exponential_ns(64'000));
  EXPECT_LE(median(std::move(ratios)), k_over_exponentials);
}

TEST(Gate, VectorsPay) {
  std::vector<double> ratios;
  for (int round = 0; round < 5; ++round) {
    use_target("scalar");
    const double scalar = measure("elm", {64, 1000}, Dtype::f32).ns_per_element;
    use_target("");
    ratios.push_back(scalar / measure("elm", {64, 1000}, Dtype::f32).ns_per_element);
  }
  EXPECT_GE(median(std::move(ratios)), expected_over_scalar());
}

TEST(Gate, SmallBatchesPayForTheirElementsOnly) {
  for (const auto& [size, limit] : {std::pair(Size{128, 100}, 3.3), {Size{128, 10}, 13.0}}) {
    std::vector<double> ratios;
    for (int round = 0; round < 5; ++round) {
      const double wide = measure("elm", {64, 1000}, Dtype::f32).ns_per_element;
      ratios.push_back(measure("elm", size, Dtype::f32).ns_per_element / wide);
    }
    EXPECT_LE(median(std::move(ratios)), limit) << size.n << " x " << size.c;
  }
}

}  // namespace
}  // namespace ulmus::bench
