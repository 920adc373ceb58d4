#include "loss/smoothing.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include "loss/row_math.hpp"
#include "loss/true_logit.hpp"

namespace ulmus::detail {
namespace {

double value_of(const std::vector<double>& of_class, std::size_t j, double otherwise) {
  return of_class.empty() ? otherwise : of_class[j];
}

/// Lowers the true logit of a row in v, [C], its adjusted logits; returns the derivative of v[y] with respect to z[y].
double lower_true_logit(const KernelParams& params, const Sample& sample, std::span<double> v) {
  const auto y = static_cast<std::size_t>(sample.label);
  const double slope = value_of(params.slope, y, 1);
  const auto largest_wrong = [y](std::span<const double> of) {
    std::size_t m = y == 0 ? 1 : 0;
    for (std::size_t j = m; j < of.size(); ++j)
      if (j != y && of[j] > of[m]) m = j;
    return m;
  };
  if (params.true_logit.kind != TrueLogitRule::Kind::margins) {
    const double z = sample.logits[y], rival = sample.logits[largest_wrong(sample.logits)];
    double t = z, t_slope = 1;
    move_true_logits(
        params.true_logit,
        {.z = {&z, 1}, .rival = {&rival, 1}, .label = {&sample.label, 1}, .t = {&t, 1}, .slope = {&t_slope, 1}});
    v[y] -= z - t;
    return slope * t_slope;
  }
  const double rival_margin = params.rival_margin.empty() ? 0 : params.rival_margin[largest_wrong(v)];
  v[y] -= value_of(params.true_margin, y, 0) + rival_margin;
  return slope;
}

}  // namespace

bool is_smoothed(const KernelParams& params) {
  return std::any_of(params.smoothing.begin(), params.smoothing.end(), [](double s) { return s != 0; });
}

std::function<double(const Sample& sample, std::span<double> gradient)> smoothed_row_loss(
    const KernelParams& params,
    const std::function<void(const Sample& sample, const LossState& state, std::span<double> offset)>& row_offset) {
  return [params = std::make_shared<const KernelParams>(params), row_offset](const Sample& sample,
                                                                             std::span<double> u) {
    const auto y = static_cast<std::size_t>(sample.label), classes = u.size();
    for (std::size_t j = 0; j < classes; ++j)
      u[j] = value_of(params->slope, j, 1) * sample.logits[j] + value_of(params->offset, j, 0);
    const double true_slope = lower_true_logit(*params, sample, u);
    for (double& x : u) x *= params->scale;
    if (row_offset) {
      std::vector<double> offset(classes);
      row_offset(sample, {}, offset);
      for (std::size_t j = 0; j < classes; ++j) u[j] += offset[j];
    }
    const double s = params->smoothing[y], share = s / static_cast<double>(classes), true_logit = u[y];
    const double mean = std::accumulate(u.begin(), u.end(), 0.0) / static_cast<double>(classes);
    const double c = cross_entropy(u, sample.label);
    for (std::size_t j = 0; j < classes; ++j)
      u[j] = params->scale * (j == y ? true_slope : value_of(params->slope, j, 1)) * (u[j] - share + (j == y ? s : 0));
    return s == 0 ? c : c + s * (true_logit - mean);  // with a masked class the mean is not finite
  };
}

}  // namespace ulmus::detail
