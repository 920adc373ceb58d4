// Label-aware smoothing: the more samples a class has, the more of its label goes to all classes.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail {
namespace {

constexpr std::string_view k_las_shapes[] = {"concave", "linear", "convex"};
constexpr Key k_keys[] = {
    {"head", 0.4, {0, 1}, "smoothing of the most frequent class", "MiSLAS code, CIFAR-100 ratio 100"},
    {"tail", 0.1, {0, 1}, "smoothing of the rarest class", "MiSLAS code, CIFAR-100 ratio 100"},
    {"shape", 0, {}, "of the way between them", "MiSLAS code", k_las_shapes}};

KernelParams make_params(const KeyValues&, const ClassCounts&) { return {.reduction = Reduction::mean}; }

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
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
  LossHooks hooks;
  hooks.row_loss = [smoothing](const Sample& sample, std::span<double> gradient) {
    const double e = smoothing[static_cast<std::size_t>(sample.label)], classes = static_cast<double>(gradient.size());
    const double mean = std::accumulate(sample.logits.begin(), sample.logits.end(), 0.0) / classes;
    std::copy(sample.logits.begin(), sample.logits.end(), gradient.begin());
    const double c = cross_entropy(gradient, sample.label);
    const double true_logit = sample.logits[static_cast<std::size_t>(sample.label)];
    for (double& g : gradient) g -= e / classes;
    gradient[static_cast<std::size_t>(sample.label)] += e;
    return e == 0 ? c : c + e * (true_logit - mean);  // a masked class has no mean
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_las{
    .name = "las",
    .class_name = "LAS",
    .title = "label-aware smoothing",
    .equation =
        "l = (1 - e[y]) c + e[y] mean_j(-log p[j]),  e from `tail` for the rarest class to `head` for the "
        "most frequent by t = (n[y] - n_min) / (n_max - n_min)",
    .paper = "Zhong, Cui, Liu, Jia: Improving Calibration for Long-Tailed Recognition, CVPR 2021, arXiv 2104.00466",
    .advice = "For calibration: a second stage that re-trains the head with balanced sampling.",
    .pitfalls =
        "Does little against imbalance by itself. Equal counts take `tail` for every class (0/0 in released "
        "code).",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail
