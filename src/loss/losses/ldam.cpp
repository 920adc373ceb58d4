#include "loss/definition.hpp"

namespace ulmus::detail::ldam {
namespace {

constexpr Key k_keys[] = {k_max_margin, k_margin_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_margin = counts.ldam_margins(keys["max_margin"]),
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "ldam",
    .class_name = "LDAM",
    .title = "label-distribution-aware margin loss",
    .equation =
        "l = log(exp(s (z[y] - D[y])) + sum_{j != y} exp(s z[j])) - s (z[y] - D[y]),  "
        "D[j] = max_margin (n_min / n[j])^(1/4)",
    .paper =
        "Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, "
        "NeurIPS 2019, arXiv 1906.07413",
    .advice = "A strong, stable choice together with +drw.",
    .pitfalls =
        "Needs the cosine head: without normalised features the margin has no scale. A class without "
        "samples gets "
        "max_margin.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::ldam
