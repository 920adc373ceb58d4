#include "loss/definition.hpp"

namespace ulmus::detail::bs {
namespace {

constexpr Key k_keys[] = {k_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .offset = log_counts(counts, keys["scale"]),
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "bs",
    .class_name = "BS",
    .title = "balanced softmax",
    .equation = "l = log sum_j exp(s z[j] + log n[j]) - s z[y] - log n[y]",
    .paper =
        "Ren, Yu, Sheng, Ma, Zhao, Yi, Li: Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS "
        "2020, arXiv 2007.10740",
    .advice = "A strong first choice on a linear head, with nothing to tune.",
    .pitfalls =
        "Predict with z, not with z + log n. With class weights too (+cb, +drw) rare classes are counted "
        "twice. A class without samples counts like the rarest one that has some.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::bs
