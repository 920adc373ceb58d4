#include "loss/definition.hpp"

namespace ulmus::detail::sphereface {
namespace {

constexpr Key k_keys[] = {
    {"margin", 1.7, {1, 1000}, "multiplies the angle", "opensphere"}, k_margin_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_logit = {.kind = TrueLogitRule::Kind::multiplied_angle, .a = keys["margin"]},
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "sphereface",
    .class_name = "SphereFace",
    .title = "SphereFace, multiplicative angular margin",
    .equation =
        "l = ce of s z with (-1)^k cos(margin theta[y]) - 2 k for z[y] = cos theta[y],  "
        "k = floor(margin theta[y] / pi)",
    .paper =
        "Liu, Wen, Yu, Li, Raj, Song: SphereFace: Deep Hypersphere Embedding for Face Recognition, CVPR 2017, "
        "arXiv 1704.08063",
    .advice = "The first of the angular margins; arcface is easier to train.",
    .pitfalls = "Not made for imbalance. The shift is constant for the gradient, as in opensphere.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .has_constant_part = true,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::sphereface
