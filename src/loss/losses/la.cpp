#include "loss/definition.hpp"

namespace ulmus::detail::la {
namespace {

constexpr Key k_keys[] = {{"tau", 1, k_any, "strength of the adjustment", "Menon et al."}, k_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .offset = log_prior(counts, keys["tau"], keys["scale"]),
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "la",
    .class_name = "LA",
    .title = "logit adjustment",
    .equation = "l = log sum_j exp(s z[j] + tau log pi[j]) - s z[y] - tau log pi[y],  pi[j] = n[j] / sum n",
    .paper =
        "Menon, Jayasumana, Rawat, Jain, Veit, Kumar: Long-tail Learning via Logit Adjustment, ICLR 2021, "
        "arXiv 2007.07314",
    .advice = "Balanced softmax with a dial: tau = 1 is bs, 0 is ce, more helps the rare classes more.",
    .pitfalls =
        "Predict with z. A class without samples counts like the rarest one that has some; released code "
        "adds 1e-12 to its prior instead.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::la
