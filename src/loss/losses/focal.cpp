#include "loss/definition.hpp"

namespace ulmus::detail::focal {
namespace {

constexpr Key k_keys[] = {{"gamma", 1, k_not_negative, "exponent of 1 - p; 0 is ce", "LDAM-DRW code, CIFAR"}, k_scale};

KernelParams make_params(const KeyValues& keys, const ClassCounts&) {
  return {
      .scale = keys["scale"], .shape = Shape::focal, .shape_parameter = keys["gamma"], .reduction = Reduction::mean};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "focal",
    .class_name = "Focal",
    .title = "focal loss, softmax form",
    .equation = "l = (1 - p)^gamma c,  c = log sum_j exp(s z[j]) - s z[y],  p = exp(-c)",
    .paper = "Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002",
    .advice = "Turns away from samples that are right already; a mild help against imbalance on its own.",
    .pitfalls =
        "Class weights multiply the whole loss; released long-tailed code puts them inside p, which is then "
        "no probability. Its mean is over the samples even with weights.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::focal
