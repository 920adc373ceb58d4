// Influence-balanced loss: cross entropy divided by the influence of the sample on the weights of the head.
#include "loss/losses/ib.hpp"

#include <cmath>

namespace ulmus::detail::ib {

constexpr double k_floor = 0.001;  // lower bound of the influence, released code

KernelParams influence_balanced_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"], .reduction = Reduction::mean};
  if (keys.word("weights") == "inverse") params.class_weight = counts.inverse_frequency_weights();
  if (keys.word("weights") == "effective") params.class_weight = counts.effective_number_weights(keys["beta"]);
  return params;
}

LossHooks influence_balanced_hooks(double alpha, double gamma) {
  // The influence is |softmax - onehot|_1 |h|_1 = 2 q H. Nothing is constant for the gradient.
  return {.shape = [alpha, gamma](const CrossEntropy& of, double H, double weight) {
    const double influence = 2 * of.q * H + k_floor, base = alpha * of.c / influence;
    const double base_slope = alpha * (of.q / influence - of.c * 2 * H * of.q * of.p / (influence * influence));
    const double norm_slope = -alpha * of.c * 2 * of.q / (influence * influence);
    if (gamma == 0) return ShapedLoss{base, base_slope, norm_slope};
    // The class weight is inside the probability, as in the released code.
    const double wrong = -std::expm1(-weight * of.c), focus = std::pow(wrong, gamma);
    const double focus_slope =
        wrong > 0 ? gamma * std::pow(wrong, gamma - 1) * std::exp(-weight * of.c) * weight * of.q : 0;
    return ShapedLoss{base * focus, base_slope * focus + base * focus_slope, norm_slope * focus};
  }};
}

namespace {

constexpr Key k_keys[] = {k_alpha, k_weight, k_beta, k_from, k_scale};

LossHooks make_hooks(const KeyValues& keys, const ClassCounts&) { return influence_balanced_hooks(keys["alpha"], 0); }

}  // namespace

extern const LossDefinition k_definition{
    .name = "ib",
    .class_name = "IB",
    .title = "influence-balanced loss",
    .equation =
        "l = w[y] c alpha / (2 (1 - p[y]) |h|_1 + 0.001),  c = -log p[y],  h the feature of the sample;  "
        "l = c before the fraction `from` of the epochs",
    .paper =
        "Park, Lim, Jeon, Choi: Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021, "
        "arXiv 2110.02444",
    .advice = "A second phase after cross entropy: samples that pull hard on the head count less.",
    .pitfalls =
        "Gradient flows through the influence too, into the features. A mean over the samples even with "
        "weights. The ELM authors' port normalises the weights differently.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = influence_balanced_params,
    .make_hooks = make_hooks,
    .needs = {.features = true},
};

}  // namespace ulmus::detail::ib
