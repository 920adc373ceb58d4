#include "loss/row_math.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "loss/row_kernel.hpp"

namespace ulmus::detail {

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

double exponentials(std::span<double> values, std::int64_t skip) {
  if (skip >= 0) values[static_cast<std::size_t>(skip)] = -std::numeric_limits<double>::infinity();
  const double largest = *std::max_element(values.begin(), values.end());
  if (std::isfinite(largest))
    for (double& value : values) value -= largest;
  else  // the difference of equal infinities is NaN, but the exponential is still 1
    for (double& value : values) value = value == largest ? 0 : value - largest;
  row_kernels().exp_f64(1, values.data(), values.data(), static_cast<std::int64_t>(values.size()));
  if (skip >= 0) values[static_cast<std::size_t>(skip)] = 0;
  return largest;
}

double softmax(std::span<double> values) {
  const double largest = exponentials(values);
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (double& value : values) value /= sum;
  return largest + std::log(sum);
}

void arc_cosines(std::span<double> values) {
  for (double& value : values) value = std::clamp(value, -1.0, 1.0);
  row_kernels().acos_f64(values.data(), values.data(), static_cast<std::int64_t>(values.size()));
}

void cosines(std::span<double> angles) {
  row_kernels().cos_f64(angles.data(), angles.data(), static_cast<std::int64_t>(angles.size()));
}

void turn(std::span<const double> z, std::span<double> angles, std::span<double> slopes) {
  row_kernels().turn_f64(z.data(), angles.data(), slopes.data(), static_cast<std::int64_t>(z.size()));
}

double cross_entropy(std::span<double> u, std::int64_t label) {
  const double true_logit = u[static_cast<std::size_t>(label)];
  const double largest = exponentials(u, label);
  const double sum = std::accumulate(u.begin(), u.end(), 0.0);
  const double distance = largest + std::log(sum) - true_logit;
  const double wrong = distance > 0 ? 1 / (1 + std::exp(-distance)) : std::exp(distance) / (1 + std::exp(distance));
  for (double& value : u) value *= wrong / sum;
  u[static_cast<std::size_t>(label)] = -wrong;
  return softplus(distance);
}

}  // namespace ulmus::detail
