#include "loss/definition.hpp"

namespace ulmus::detail::ce {
namespace {

constexpr Key k_keys[] = {k_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"], .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "ce",
    .class_name = "CE",
    .title = "softmax cross entropy",
    .equation = "l = log sum_j exp(s z[j]) - s z[y]",
    .advice = "The baseline. It learns the frequent classes and gives up the rare ones.",
    .pitfalls = "On a cosine head it needs a scale: cosines of at most 1 cannot make a probability near 1.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::ce
