#include "loss/definition.hpp"

namespace ulmus::detail::cosface {
namespace {

constexpr Key k_keys[] = {{"margin", 0.4, k_any, "subtracted from the true cosine", "insightface; opensphere: 0.35"},
                          {"scale", 64, k_positive, "multiplies the cosines before the softmax", "insightface"},
                          k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_margin = std::vector<double>(static_cast<std::size_t>(counts.classes()), keys["margin"]),
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "cosface",
    .class_name = "CosFace",
    .title = "CosFace, additive cosine margin",
    .equation = "l = ce of s z with z[y] - margin for z[y]",
    .paper =
        "Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu: CosFace: Large Margin Cosine Loss for Deep Face Recognition, "
        "CVPR 2018, arXiv 1801.09414",
    .advice = "LDAM with the same margin for every class.",
    .pitfalls = "Not made for imbalance.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::cosface
