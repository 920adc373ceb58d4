// Label-aware smoothing: the more samples a class has, the more of its label goes to all classes.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_las_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.reduction = Reduction::mean};
  std::vector<double> smoothing = positive_counts(counts);
  const auto [least, most] = std::minmax_element(smoothing.begin(), smoothing.end());
  const double first = *least, range = *most - *least, head = keys["head"], tail = keys["tail"];
  const std::string_view shape = keys.word("shape");
  for (double& e : smoothing) {
    const double t = range > 0 ? (e - first) / range : 0, quarter = std::numbers::pi / 2;
    if (shape == "linear")
      e = tail + (head - tail) * t;
    else if (shape == "convex")
      e = head + (head - tail) * std::sin(3 * quarter + quarter * t);
    else
      e = tail + (head - tail) * std::sin(quarter * t);
  }
  params.hooks.row_loss = [smoothing](const Sample& sample, std::span<double> gradient) {
    const double e = smoothing[static_cast<std::size_t>(sample.label)], classes = static_cast<double>(gradient.size());
    const double mean = std::accumulate(sample.logits.begin(), sample.logits.end(), 0.0) / classes;
    std::copy(sample.logits.begin(), sample.logits.end(), gradient.begin());
    const double c = cross_entropy(gradient, sample.label);
    const double true_logit = sample.logits[static_cast<std::size_t>(sample.label)];
    for (double& g : gradient) g -= e / classes;
    gradient[static_cast<std::size_t>(sample.label)] += e;
    return e == 0 ? c : c + e * (true_logit - mean);  // a masked class has no mean
  };
  return params;
}

}  // namespace ulmus::detail
