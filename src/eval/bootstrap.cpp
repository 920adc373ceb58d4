#include "ulmus/eval/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ulmus/base/random.hpp"

namespace ulmus {

StratifiedBootstrap::StratifiedBootstrap(std::span<const std::int64_t> labels, std::int64_t classes, std::uint64_t seed)
    : samples_(static_cast<std::size_t>(classes)), seed_(seed) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    samples_[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::uint32_t>(i));
}

void StratifiedBootstrap::draw(std::uint64_t r, std::span<double> weights) const {
  std::ranges::fill(weights, 0);
  Stream stream(seed_, "bootstrap", r);
  for (const auto& of_class : samples_)
    for (std::size_t k = 0; k < of_class.size(); ++k) weights[of_class[stream.below(of_class.size())]] += 1;
}

Estimate estimate(double value, std::vector<double> resampled) {
  std::erase_if(resampled, [](double x) { return !std::isfinite(x); });
  if (resampled.empty())
    return {value, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  std::ranges::sort(resampled);
  const auto quantile = [&](double share) {
    const double position = share * static_cast<double>(resampled.size() - 1);
    const auto lower = static_cast<std::size_t>(position);
    const std::size_t upper = std::min(lower + 1, resampled.size() - 1);
    return std::lerp(resampled[lower], resampled[upper], position - static_cast<double>(lower));
  };
  return {value, quantile(0.025), quantile(0.975)};
}

}  // namespace ulmus
