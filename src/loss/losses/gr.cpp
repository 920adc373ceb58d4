#include "loss/definition.hpp"

namespace ulmus::detail::gr {
namespace {

constexpr Key k_keys[] = {
    {"rho", 1.2, k_any, "exponent of the weights", "Zhang et al., ImageNet-LT"}, k_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .smoothing = same_smoothing(counts, keys["smoothing"]),
          .class_weight = counts.power_weights(keys["rho"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "gr",
    .class_name = "GR",
    .title = "generalised re-weighting",
    .equation = "l = w[y] ce,  w[j] = pi[j]^-rho, normalised to mean 1",
    .paper =
        "Zhang, Li, Yan, He, Sun: Distribution Alignment: A Unified Framework for Long-tail Visual "
        "Recognition, CVPR 2021, arXiv 2103.16370",
    .advice =
        "Re-weighting with a dial: rho = 0 is ce, 1 is ce+inverse. Made for re-training a head on a frozen "
        "backbone.",
    .pitfalls = "rho above 1 lets a batch with one rare sample be dominated by it.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::gr
