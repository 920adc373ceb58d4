#include "ulmus/eval/temperature.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

void check_shapes(std::int64_t rows, std::span<const std::int64_t> labels) {
  if (labels.empty() || std::ssize(labels) != rows)
    throw Error(ErrorKind::data, fmt::format("cannot fit a temperature to {} rows of logits and {} labels; give a "
                                             "label a row, and at least one",
                                             rows, labels.size()));
}

/// The root of the derivative of the loss with respect to 1 / T, which rises.
template <class SlopeAt>
double temperature_at_root(SlopeAt slope_at) {
  double low = 1 / k_highest_temperature, high = 1 / k_lowest_temperature;
  if (slope_at(low) >= 0) return k_highest_temperature;
  if (slope_at(high) <= 0) return k_lowest_temperature;
  while (high / low > 1 + 1e-9) {
    const double middle = std::sqrt(low * high);
    (slope_at(middle) < 0 ? low : high) = middle;
  }
  return 1 / std::sqrt(low * high);
}

}  // namespace

double fit_temperature(MatrixView<const float> logits, std::span<const std::int64_t> labels,
                       const ScoreTransform& scores, std::span<const double> class_weights) {
  check_shapes(logits.rows, labels);
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
  return temperature_at_root(slope_at);
}

double fit_temperature(const ScoreMatrix& logs, std::span<const std::int64_t> labels, std::span<const double> trained) {
  check_shapes(logs.rows(), labels);
  std::vector<double> shift(static_cast<std::size_t>(logs.classes), 0), u(shift.size());
  for (std::size_t j = 0; j < trained.size(); ++j) shift[j] = std::log(trained[j]);
  return temperature_at_root([&](double inverse) {
    double total = 0;
    for (std::int64_t i = 0; i < logs.rows(); ++i) {
      const std::span<const double> row = logs.row(i);
      for (std::size_t j = 0; j < u.size(); ++j) u[j] = inverse * (row[j] - shift[j]) + shift[j];
      const double top = *std::ranges::max_element(u);
      double sum = 0, evidence = 0;
      for (std::size_t j = 0; j < u.size(); ++j) {
        const double p = std::exp(u[j] - top);
        sum += p;
        evidence += p * (row[j] - shift[j]);
      }
      const auto y = static_cast<std::size_t>(labels[i]);
      total += evidence / sum - (row[y] - shift[y]);
    }
    return total;
  });
}

}  // namespace ulmus
