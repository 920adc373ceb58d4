// Influence-balanced loss: cross entropy over the influence of the sample on the weights of the head.
#include <cmath>

#include "loss/members/fills.hpp"

namespace ulmus::detail {
namespace {

constexpr double k_floor = 0.001;  // of the influence, released code

KernelParams influence_balanced(const KeyValues& keys, const ClassCounts& counts, double gamma) {
  KernelParams params{.scale = keys["scale"], .reduction = Reduction::mean};
  if (keys.word("weights") == "inverse") params.class_weight = counts.inverse_frequency_weights();
  if (keys.word("weights") == "effective") params.class_weight = counts.effective_number_weights(keys["beta"]);
  // The influence is |softmax - onehot|_1 |h|_1 = 2 q H. Nothing is constant for the gradient.
  params.hooks.shape = [alpha = keys["alpha"], gamma](const CrossEntropy& of, double H, double weight) {
    const double influence = 2 * of.q * H + k_floor, base = alpha * of.c / influence;
    const double base_slope = alpha * (of.q / influence - of.c * 2 * H * of.q * of.p / (influence * influence));
    const double norm_slope = -alpha * of.c * 2 * of.q / (influence * influence);
    if (gamma == 0) return ShapedLoss{base, base_slope, norm_slope};
    // Here the class weight is inside the probability, as in the released code.
    const double wrong = -std::expm1(-weight * of.c), focus = std::pow(wrong, gamma);
    const double focus_slope =
        wrong > 0 ? gamma * std::pow(wrong, gamma - 1) * std::exp(-weight * of.c) * weight * of.q : 0;
    return ShapedLoss{base * focus, base_slope * focus + base * focus_slope, norm_slope * focus};
  };
  return params;
}

}  // namespace

KernelParams make_ib_params(const KeyValues& keys, const ClassCounts& counts) {
  return influence_balanced(keys, counts, 0);
}

KernelParams make_ib_focal_params(const KeyValues& keys, const ClassCounts& counts) {
  return influence_balanced(keys, counts, keys["gamma"]);
}

}  // namespace ulmus::detail
