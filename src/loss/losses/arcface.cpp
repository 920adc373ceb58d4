#include "loss/definition.hpp"

namespace ulmus::detail::arcface {
namespace {

constexpr std::string_view k_arcface_variants[] = {"insightface", "opensphere"};
constexpr Key k_keys[] = {{"margin", 0.5, {0, 3.14}, "added to the angle, in radians", "insightface"},
                          {"variant", "insightface", {}, "whose code", "insightface", k_arcface_variants},
                          {"scale", 64, k_positive, "multiplies the cosines before the softmax", "insightface"},
                          k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  const bool stopped = keys.word("variant") == "opensphere";
  return {.scale = keys["scale"],
          .true_logit = {.kind = stopped ? TrueLogitRule::Kind::stopped_angle : TrueLogitRule::Kind::angle,
                         .a = keys["margin"]},
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "arcface",
    .class_name = "ArcFace",
    .title = "ArcFace, additive angular margin",
    .equation =
        "l = ce of s z with cos(theta[y] + margin) for z[y] = cos theta[y];  z[y] - margin sin margin where "
        "theta[y] + margin would pass pi",
    .paper =
        "Deng, Guo, Xue, Zafeiriou: ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019, "
        "arXiv 1801.07698",
    .advice = "For embeddings of many classes; the same margin for all of them.",
    .pitfalls =
        "Not made for imbalance. Two public codes differ: insightface has the gradient of the angle, "
        "opensphere takes the shift as constant and stops the angle at pi.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::arcface
