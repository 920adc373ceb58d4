// Label over-smoothing: the label is almost uniform, so that the head's weights of a class do not grow with its
// frequency.
#include "loss/definition.hpp"

namespace ulmus::detail::los {
namespace {

constexpr Key k_keys[] = {{"smoothing",
                           0.98,
                           {0, 1},
                           "share of the label that goes to the mean over all classes",
                           "Sun et al.: 0.98 or 0.99"},
                          k_scale};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"], .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "los",
    .class_name = "LOS",
    .title = "label over-smoothing",
    .equation = "l = (1 - smoothing) c + smoothing mean_j(-log p[j]),  c = -log p[y],  p = softmax(s z)",
    .paper =
        "Sun, Lu, Li, Xie, Li, Yang, Zhang, Yan: Rethinking Classifier Re-Training in Long-Tailed Recognition: Label "
        "Over-Smooth Can Balance, ICLR 2025, arXiv 2403.00250",
    .advice = "A second stage: re-train the head on frozen features with it.",
    .pitfalls =
        "Made for a head on features that cross entropy has trained: from the beginning it learns slowly. It is "
        "ce:smoothing=0.98.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .shardable = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::los
