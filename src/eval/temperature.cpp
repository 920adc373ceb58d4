#include "ulmus/eval/temperature.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ulmus/base/error.hpp"

namespace ulmus {

double fit_temperature(MatrixView<const float> logits, std::span<const std::int64_t> labels,
                       const ScoreTransform& scores, std::span<const double> class_weights) {
  if (labels.empty() || static_cast<std::int64_t>(labels.size()) != logits.rows)
    throw Error(ErrorKind::data, fmt::format("cannot fit a temperature to {} rows of logits and {} labels; give a "
                                             "label a row, and at least one",
                                             logits.rows, labels.size()));
  const auto classes = static_cast<std::size_t>(logits.columns);
  ScoreTransform tempered = scores, untempered = scores;
  untempered.offset.clear();
  untempered.temperature = 1;
  std::vector<double> p(classes), u(classes);
  // With b = 1 / T and u = b v + offset, the derivative of a sample's loss with respect to b is sum_j p[j] v[j] - v[y].
  const auto slope_at = [&](double inverse) {
    tempered.temperature = 1 / inverse;
    double sum = 0;
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      const std::span z(logits.row(i), classes);
      const auto y = static_cast<std::size_t>(labels[i]);
      tempered.probabilities(z, p);
      untempered.apply(z, u);
      double derivative = -u[y];
      for (std::size_t j = 0; j < classes; ++j) derivative += p[j] * u[j];
      sum += derivative * (class_weights.empty() ? 1 : class_weights[y]);
    }
    return sum;
  };
  double low = 1 / k_highest_temperature, high = 1 / k_lowest_temperature;
  if (slope_at(low) >= 0) return k_highest_temperature;
  if (slope_at(high) <= 0) return k_lowest_temperature;
  while (high / low > 1 + 1e-9) {
    const double middle = std::sqrt(low * high);
    (slope_at(middle) < 0 ? low : high) = middle;
  }
  return 1 / std::sqrt(low * high);
}

}  // namespace ulmus
