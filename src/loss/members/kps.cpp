// Key-point-sensitive loss: slopes that grow with the count and margins in the reverse order.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {
namespace {

/// The same values, the k-th largest where the k-th smallest was. Released code reverses by position, which is this
/// when the classes come in the order of their counts.
std::vector<double> reversed_by_rank(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  std::vector<double> reversed(values.size());
  for (std::size_t k = 0; k < order.size(); ++k) reversed[order[k]] = values[order[order.size() - 1 - k]];
  return reversed;
}

}  // namespace

KernelParams make_kps_params(const KeyValues& keys, const ClassCounts& counts) {
  constexpr double k_stretch = 50, k_largest_scale = 50;  // of the released code
  KernelParams params{.scale = keys["scale"]};
  std::vector<double> q = positive_counts(counts);
  const double smallest = *std::min_element(q.begin(), q.end());
  for (double& value : q) value = std::log(k_stretch * value / smallest) / std::log(k_stretch);
  const double largest = *std::max_element(q.begin(), q.end());
  const std::vector<double> reversed = reversed_by_rank(q);
  std::vector<double> margins = reversed;
  for (double& m : margins) m *= keys["max_margin"] / largest;

  if (keys.word("scaling") == "label") {
    params.hooks.row_loss = [=, scale = params.scale](const Sample& sample, std::span<double> gradient) {
      const auto y = static_cast<std::size_t>(sample.label);
      const double s = std::clamp(reversed[y] * scale, scale, std::max(scale, k_largest_scale));
      for (std::size_t j = 0; j < gradient.size(); ++j)
        gradient[j] = s * (q[j] * sample.logits[j] - (j == y ? margins[y] : 0));
      const double loss = cross_entropy(gradient, sample.label);
      for (std::size_t j = 0; j < gradient.size(); ++j) gradient[j] *= s * q[j];
      return loss;
    };
  } else {
    params.slope = q;
    params.true_margin = margins;
  }
  return params;
}

}  // namespace ulmus::detail
