#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ulmus {

/// A value with its 95 % percentile interval over bootstrap samples.
struct Estimate {
  double value = 0;
  double low = 0, high = 0;  ///< NaN without bootstrap samples
};

/// Draws bootstrap samples within classes: every class keeps its number of samples, so none is lost, however rare it
/// is. Reproducible: sample r depends on the seed and r only.
class StratifiedBootstrap {
 public:
  /// `labels` [N], each in [0, classes).
  StratifiedBootstrap(std::span<const std::int64_t> labels, std::int64_t classes, std::uint64_t seed);

  /// Sets `weights` [N] to the number of times that each sample is drawn.
  void draw(std::uint64_t r, std::span<double> weights) const;

 private:
  std::vector<std::vector<std::uint32_t>> samples_;  ///< of each class
  std::uint64_t seed_;
};

/// The estimate of a value from its bootstrap values: quantiles at 2.5 and 97.5 %, linearly interpolated. Values that
/// are not finite are left out.
Estimate estimate(double value, std::vector<double> resampled);

}  // namespace ulmus
