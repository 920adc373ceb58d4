// Label-aware smoothing: the more samples a class has, the more of its label is distributed over all classes.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "loss/definition.hpp"

namespace ulmus::detail::las {
namespace {

constexpr std::string_view k_las_shapes[] = {"concave", "linear", "convex"};
constexpr Key k_keys[] = {
    {"head", 0.4, {0, 1}, "smoothing of the most frequent class", "MiSLAS code, CIFAR-100 ratio 100"},
    {"tail", 0.1, {0, 1}, "smoothing of the rarest class", "MiSLAS code, CIFAR-100 ratio 100"},
    {"shape", "concave", {}, "of the way between them", "MiSLAS code", k_las_shapes}};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
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
  return {.smoothing = std::move(smoothing), .reduction = Reduction::mean};
}

}  // namespace

extern const LossDefinition k_definition{
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
    .shardable = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::las
