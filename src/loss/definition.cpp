#include "loss/definition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ulmus/base/error.hpp"

namespace ulmus::detail {

std::vector<double> positive_counts(const ClassCounts& counts) {
  std::vector<double> positive;
  double smallest = static_cast<double>(counts.total());
  for (const std::int64_t n : counts.values())
    if (n > 0) smallest = std::min(smallest, static_cast<double>(n));
  for (const std::int64_t n : counts.values()) positive.push_back(n > 0 ? static_cast<double>(n) : smallest);
  return positive;
}

std::vector<double> log_counts(const ClassCounts& counts, double scale) {
  std::vector<double> result;
  for (const double n : positive_counts(counts)) result.push_back(std::log(n) / scale);
  return result;
}

std::vector<double> log_prior(const ClassCounts& counts, double tau, double scale) {
  std::vector<double> result;
  for (const double n : positive_counts(counts))
    result.push_back(tau * std::log(n / static_cast<double>(counts.total())) / scale);
  return result;
}

std::vector<double> frequency_slopes(const ClassCounts& counts, double gamma) {
  std::vector<double> slopes = positive_counts(counts);
  const double largest = *std::max_element(slopes.begin(), slopes.end());
  for (double& slope : slopes) slope = std::pow(slope / largest, gamma);
  return slopes;
}

std::vector<double> same_smoothing(const ClassCounts& counts, double smoothing) {
  if (smoothing == 0) return {};
  return std::vector<double>(static_cast<std::size_t>(counts.classes()), smoothing);
}

void require_finite(std::span<const double> of_classes, std::string_view what) {
  for (std::size_t j = 0; j < of_classes.size(); ++j)
    if (!std::isfinite(static_cast<float>(of_classes[j])))
      throw Error(ErrorKind::usage,
                  fmt::format("with these keys and counts the {} of the loss are out of range: that of class {} is {}; "
                              "choose keys nearer to their defaults",
                              what, j, of_classes[j]));
}

}  // namespace ulmus::detail
