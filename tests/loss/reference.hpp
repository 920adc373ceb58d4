#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

/// The family implemented from its textbook definition as simply as possible, without code of the library: the
/// independent reference of the tests.
namespace ulmus::reference {

struct Result {
  double loss = 0;
  std::vector<double> losses;    ///< per sample, without class weights
  std::vector<double> gradient;  ///< [N, C]
};

struct Definition {
  double scale = 1;
  double max_margin = 0;
  double lambda = 0;
  double gamma = 0;  // VS, CDT
  double tau = 0;    // LA, VS
  double focal = 0;
};

inline std::vector<double> margins(std::span<const std::int64_t> counts, double max_margin) {
  std::vector<double> result;
  double largest = 0;
  for (const auto n : counts) largest = std::max(largest, 1 / std::sqrt(std::sqrt(static_cast<double>(n))));
  for (const auto n : counts) result.push_back(max_margin / std::sqrt(std::sqrt(static_cast<double>(n))) / largest);
  return result;
}

/// Weighted mean; empty `weights`: all ones.
inline Result evaluate(const Definition& definition, std::span<const std::int64_t> counts,
                       std::span<const double> logits, std::span<const std::int64_t> labels,
                       std::span<const double> weights = {}) {
  const std::size_t classes = counts.size();
  const auto D = margins(counts, definition.max_margin);
  const auto largest_count = static_cast<double>(*std::max_element(counts.begin(), counts.end()));
  const auto all_counts = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  Result result;
  double total_weight = 0;
  for (const auto y : labels) total_weight += weights.empty() ? 1 : weights[static_cast<std::size_t>(y)];
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto y = static_cast<std::size_t>(labels[i]);
    const std::span<const double> z = logits.subspan(i * classes, classes);
    std::size_t m = y == 0 ? 1 : 0;
    for (std::size_t j = 0; j < classes; ++j)
      if (j != y && z[j] > z[m]) m = j;
    std::vector<double> slope, u;
    for (std::size_t j = 0; j < classes; ++j) {
      const auto n = static_cast<double>(counts[j]);
      slope.push_back(definition.scale * std::pow(n / largest_count, definition.gamma));
      u.push_back(slope[j] * (j == y ? z[y] - D[y] + definition.lambda * D[m] : z[j]) +
                  definition.tau * std::log(n / all_counts));
    }
    const double top = *std::max_element(u.begin(), u.end());
    double sum = 0;
    for (const double value : u) sum += std::exp(value - top);
    const double c = top + std::log(sum) - u[y], p = std::exp(-c);
    const double focus = std::pow(1 - p, definition.focal);
    const double weight = (weights.empty() ? 1 : weights[y]) / total_weight;
    result.losses.push_back(focus * c);
    result.loss += weight * focus * c;
    const double chain =
        definition.focal == 0 ? 1 : focus + definition.focal * std::pow(1 - p, definition.focal - 1) * p * c;
    for (std::size_t j = 0; j < classes; ++j)
      result.gradient.push_back(weight * chain * slope[j] * (std::exp(u[j] - top) / sum - (j == y ? 1 : 0)));
  }
  return result;
}

}  // namespace ulmus::reference
