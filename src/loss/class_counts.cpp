#include "ulmus/loss/class_counts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

/// Scales weights so that their mean over the classes with samples is 1; zero weights stay 0.
void normalise(std::vector<double>& weights, std::span<const std::int64_t> counts) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const auto present = std::count_if(counts.begin(), counts.end(), [](std::int64_t n) { return n > 0; });
  for (double& w : weights) w *= static_cast<double>(present) / sum;
}

std::int64_t smallest_present(std::span<const std::int64_t> counts) {
  std::int64_t smallest = *std::max_element(counts.begin(), counts.end());
  for (const std::int64_t n : counts)
    if (n > 0) smallest = std::min(smallest, n);
  return smallest;
}

}  // namespace

ClassCounts::ClassCounts(std::vector<std::int64_t> counts, std::vector<std::string> names)
    : counts_(std::move(counts)), names_(std::move(names)) {
  if (counts_.empty()) throw Error(ErrorKind::data, "the class counts are empty, expected one count a class");
  for (std::size_t j = 0; j < counts_.size(); ++j) {
    if (counts_[j] < 0)
      throw Error(ErrorKind::data,
                  fmt::format("the count of class {} is {}, expected 0 or more samples", j, counts_[j]));
    if (__builtin_add_overflow(total_, counts_[j], &total_))
      throw Error(ErrorKind::data,
                  fmt::format("the class counts add up to more than {} samples, with {} of class {}; are they counts?",
                              std::numeric_limits<std::int64_t>::max(), counts_[j], j));
  }
  if (!names_.empty() && names_.size() != counts_.size())
    throw Error(ErrorKind::data, fmt::format("{} class names came with {} class counts, expected as many",
                                             names_.size(), counts_.size()));
  if (total_ == 0) throw Error(ErrorKind::data, "every class count is 0, expected at least one sample");
}

double ClassCounts::imbalance_ratio() const {
  return static_cast<double>(*std::max_element(counts_.begin(), counts_.end())) /
         static_cast<double>(smallest_present(counts_));
}

std::vector<double> ClassCounts::prior() const {
  std::vector<double> prior(counts_.begin(), counts_.end());
  for (double& p : prior) p /= static_cast<double>(total_);
  return prior;
}

std::vector<double> ClassCounts::effective_number_weights(double beta) const {
  if (!(beta >= 0 && beta < 1))
    throw Error(ErrorKind::usage, fmt::format("beta is {}, expected a number in [0, 1)", beta));
  std::vector<double> weights;
  for (const std::int64_t n : counts_) {
    const double effective_number = -std::expm1(static_cast<double>(n) * std::log(beta));  // multiplied by 1 - beta
    weights.push_back(n == 0 ? 0 : 1 / effective_number);
  }
  normalise(weights, counts_);
  return weights;
}

std::vector<double> ClassCounts::inverse_frequency_weights() const {
  std::vector<double> weights;
  for (const std::int64_t n : counts_) weights.push_back(n == 0 ? 0 : 1 / static_cast<double>(n));
  normalise(weights, counts_);
  return weights;
}

std::vector<double> ClassCounts::power_weights(double rho) const {
  std::vector<double> weights = prior();
  // Powers outside the range of double are computed relative to the largest; normalised weights do not change.
  constexpr double k_safe_exponent = 600;
  double top = -std::numeric_limits<double>::infinity();
  for (const double p : weights)
    if (p > 0) top = std::max(top, -rho * std::log(p));
  for (double& w : weights)
    if (w > 0) w = std::fabs(top) < k_safe_exponent ? std::pow(w, -rho) : std::exp(-rho * std::log(w) - top);
  normalise(weights, counts_);
  return weights;
}

std::vector<double> ClassCounts::ldam_margins(double max_margin) const {
  const auto smallest = static_cast<double>(smallest_present(counts_));
  std::vector<double> margins;
  for (const std::int64_t n : counts_)
    margins.push_back(n == 0 ? max_margin : max_margin * std::pow(smallest / static_cast<double>(n), 0.25));
  return margins;
}

ShotGroup shot_group(std::int64_t count, ShotThresholds thresholds) {
  if (count > thresholds.many_above) return ShotGroup::many;
  if (count < thresholds.few_below) return ShotGroup::few;
  return ShotGroup::medium;
}

}  // namespace ulmus
