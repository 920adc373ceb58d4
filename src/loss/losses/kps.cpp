// Key-point-sensitive loss: slopes that increase with the count, and margins in the opposite order.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::kps {
namespace {

/// The same values with ranks reversed: the k-th largest replaces the k-th smallest. Released code reverses by
/// position, which is equivalent if the classes are sorted by count.
std::vector<double> reversed_by_rank(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  std::vector<double> reversed(values.size());
  for (std::size_t k = 0; k < order.size(); ++k) reversed[order[k]] = values[order[order.size() - 1 - k]];
  return reversed;
}

constexpr std::string_view k_scalings[] = {"one", "label"};
constexpr Key k_keys[] = {
    {"max_margin", 0.2, k_not_negative, "margin of the rarest class", "released code"},
    {"scaling", "one", {}, "one scale for all samples, or one by their label", "released code", k_scalings},
    {"scale", 15, k_positive, "multiplies the logits before the softmax", "released code"}};

constexpr double k_stretch = 50, k_largest_scale = 50;  // from the released code

/// The slopes of the classes, and the slopes with reversed ranks.
struct Slopes {
  std::vector<double> q, reversed;

  explicit Slopes(const ClassCounts& counts) : q(positive_counts(counts)) {
    const double smallest = *std::min_element(q.begin(), q.end());
    for (double& value : q) value = std::log(k_stretch * value / smallest) / std::log(k_stretch);
    reversed = reversed_by_rank(q);
  }
  std::vector<double> margins(double max_margin) const {
    const double largest = *std::max_element(q.begin(), q.end());
    std::vector<double> margins = reversed;
    for (double& m : margins) m *= max_margin / largest;
    return margins;
  }
};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  if (keys.word("scaling") == "label") return params;
  const Slopes slopes(counts);
  params.slope = slopes.q;
  params.true_margin = slopes.margins(keys["max_margin"]);
  return params;
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  if (keys.word("scaling") == "one") return {};
  const Slopes slopes(counts);
  return {.row_loss = [slopes, margins = slopes.margins(keys["max_margin"]), scale = keys["scale"]](
                          const Sample& sample, std::span<double> gradient) {
    const std::vector<double>& q = slopes.q;
    const auto y = static_cast<std::size_t>(sample.label);
    const double s = std::clamp(slopes.reversed[y] * scale, scale, std::max(scale, k_largest_scale));
    for (std::size_t j = 0; j < gradient.size(); ++j)
      gradient[j] = s * (q[j] * sample.logits[j] - (j == y ? margins[y] : 0));
    const double loss = cross_entropy(gradient, sample.label);
    for (std::size_t j = 0; j < gradient.size(); ++j) gradient[j] *= s * q[j];
    return loss;
  }};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "kps",
    .class_name = "KPS",
    .title = "key-point-sensitive loss",
    .equation =
        "l = log sum_j exp(s v[j]) - s v[y],  v[j] = q[j] z[j] - m[y] [j = y],  "
        "q[j] = log(50 n[j] / n_min) / log 50,  m = q in reverse order, times max_margin / max q;  "
        "scaling label: s is clip(s q[y] in reverse order, s, 50)",
    .paper = "Li, Cheung, Hu: Key Point Sensitive Loss for Long-tailed Visual Recognition, TPAMI 2023",
    .advice = "Slopes and margins together; with +drw.",
    .pitfalls =
        "Released code reverses by position, which is right only for classes in the order of their "
        "counts; this reverses by rank, and classes of the same count by their order. A common offset of "
        "the logits changes the loss.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .ignores_offset = false,
    .shardable = false,
};

}  // namespace ulmus::detail::kps
