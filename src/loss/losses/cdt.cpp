#include "loss/definition.hpp"

namespace ulmus::detail::cdt {
namespace {

constexpr Key k_keys[] = {
    {"gamma", 0.2, k_any, "exponent of the temperatures", "Bag of Tricks code"}, k_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .slope = frequency_slopes(counts, keys["gamma"]),
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "cdt",
    .class_name = "CDT",
    .title = "class-dependent temperatures",
    .equation = "l = log sum_j exp(v[j]) - v[y],  v[j] = s z[j] / (n_max / n[j])^gamma",
    .paper =
        "Ye, Chen, Zhan, Chao: Identifying and Compensating for Feature Deviation in Imbalanced Deep Learning, "
        "arXiv 2001.01385",
    .advice = "Vector scaling without the prior; raise gamma until the rare classes stop gaining.",
    .pitfalls = "Predict with z. A common offset of the logits changes the loss.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::cdt
