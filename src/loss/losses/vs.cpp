#include "loss/definition.hpp"

namespace ulmus::detail::vs {
namespace {

constexpr Key k_keys[] = {{"gamma", 0.3, k_any, "exponent of the slopes; 0: all 1", "VS code"},
                          {"tau", 1, k_any, "strength of the adjustment by the prior", "VS code"},
                          k_scale,
                          k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .slope = frequency_slopes(counts, keys["gamma"]),
          .offset = log_prior(counts, keys["tau"], keys["scale"]),
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "vs",
    .class_name = "VS",
    .title = "vector scaling",
    .equation = "l = log sum_j exp(v[j]) - v[y],  v[j] = s (n[j] / n_max)^gamma z[j] + tau log pi[j]",
    .paper =
        "Kini, Paraskevas, Oymak, Thrampoulidis: Label-Imbalanced and Group-Sensitive Classification under "
        "Overparameterization, NeurIPS 2021, arXiv 2103.01550",
    .advice = "Logit adjustment that also changes the slope of rare logits; gamma = 0 is la.",
    .pitfalls =
        "Predict with z. Copies of the code interchange gamma and tau: gamma is the small one. With gamma "
        "other than 0 a common offset of the logits changes the loss.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::vs
