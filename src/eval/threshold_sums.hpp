#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/eval/thresholds.hpp"

namespace ulmus::detail {

/// A metric that thresholds maximise as sums over the classes, so that a sample that changes class changes two terms.
class ThresholdSums {
 public:
  using Sums = std::array<double, 3>;

  /// Checks that the metric can apply. `support` [C] are the samples of each class.
  ThresholdSums(const ThresholdMetric& metric, std::vector<double> support, const ThresholdOptions& options);

  /// The term of a class with this number of right predictions and of all predictions.
  Sums term(std::size_t of_class, double hits, double predicted) const;

  /// The metric, of the sum of the terms and of the mean cost. Where a precision is not reached it is below 0 and rises
  /// with the precision, precision - 2.
  double value(const Sums& sums, double mean_cost) const;

 private:
  ThresholdMetric metric_;
  std::vector<double> support_;
  std::vector<double> factor_;  ///< [C], of the class in a mean over classes
  std::size_t positive_ = 0;
  double samples_ = 0, support2_ = 0;
};

}  // namespace ulmus::detail
