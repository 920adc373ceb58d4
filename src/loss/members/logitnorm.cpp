// LogitNorm: cross entropy on logits of unit norm.
#include <cmath>
#include <numeric>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_logitnorm_params(const KeyValues& keys, const ClassCounts&) {
  constexpr double k_floor = 1e-7;  // of the norm, released code
  KernelParams params{.reduction = Reduction::mean};
  params.hooks.row_loss = [t = keys["temperature"]](const Sample& sample, std::span<double> gradient) {
    const auto z = sample.logits;
    const double norm = std::sqrt(std::inner_product(z.begin(), z.end(), z.begin(), 0.0));
    const double floored = norm + k_floor, factor = 1 / (t * floored);
    for (std::size_t j = 0; j < z.size(); ++j) gradient[j] = factor * z[j];
    const double loss = cross_entropy(gradient, sample.label);
    const double along =
        norm > 0 ? std::inner_product(z.begin(), z.end(), gradient.begin(), 0.0) / (norm * floored) : 0;
    for (std::size_t j = 0; j < z.size(); ++j) gradient[j] = factor * (gradient[j] - z[j] * along);
    return loss;
  };
  return params;
}

}  // namespace ulmus::detail
