#include "loss/losses/ib.hpp"

namespace ulmus::detail::ib_focal {
namespace {

constexpr Key k_keys[] = {ib::k_alpha,  {"gamma", 1, k_not_negative, "exponent of the focal factor", "IB code"},
                          ib::k_weight, ib::k_beta,
                          ib::k_from,   k_scale};

LossHooks make_hooks(const KeyValues& keys, const ClassCounts&) {
  return ib::influence_balanced_hooks(keys["alpha"], keys["gamma"]);
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "ib-focal",
    .class_name = "IBFocal",
    .title = "influence-balanced focal loss",
    .equation = "l = ib (1 - exp(-w[y] c))^gamma",
    .paper =
        "Park, Lim, Jeon, Choi: Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021, "
        "arXiv 2110.02444",
    .advice = "ib that also turns away from samples that are right.",
    .pitfalls = "The class weight is inside the probability, as in the released code. As ib otherwise.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = ib::influence_balanced_params,
    .make_hooks = make_hooks,
    .needs = {.features = true},
};

}  // namespace ulmus::detail::ib_focal
