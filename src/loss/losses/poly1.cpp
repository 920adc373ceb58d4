#include "loss/definition.hpp"

namespace ulmus::detail::poly1 {
namespace {

constexpr Key k_keys[] = {{"epsilon", 1, k_any, "strength of the second term; 0 is ce", "Leng et al."}, k_scale};

KernelParams make_params(const KeyValues& keys, const ClassCounts&) {
  return {
      .scale = keys["scale"], .shape = Shape::poly, .shape_parameter = keys["epsilon"], .reduction = Reduction::mean};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "poly1",
    .class_name = "Poly1",
    .title = "PolyLoss, first order",
    .equation = "l = c + epsilon (1 - p[y]),  c = log sum_j exp(s z[j]) - s z[y],  p = exp(-c)",
    .paper =
        "Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov: PolyLoss: A Polynomial Expansion Perspective of "
        "Classification Loss Functions, ICLR 2022, arXiv 2204.12511",
    .advice = "A small change of cross entropy; epsilon above 0 pushes harder on samples that are wrong.",
    .pitfalls = "Not made for imbalance. Class weights multiply c only, as in the copies of the code in use.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .is_sum = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::poly1
