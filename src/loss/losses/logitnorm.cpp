// LogitNorm: cross entropy on logits of unit norm.
#include <cmath>
#include <numeric>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::logitnorm {
namespace {

constexpr Key k_keys[] = {
    {"temperature", 0.01, k_positive, "divides the unit logits", "README of the authors' code, CIFAR-10"}};

constexpr double k_floor = 1e-7;  // added to the norm, released code

KernelParams make_params(const KeyValues&, const ClassCounts&) { return {.reduction = Reduction::mean}; }

LossHooks make_hooks(const KeyValues& keys, const ClassCounts&) {
  LossHooks hooks;
  hooks.row_loss = [t = keys["temperature"]](const Sample& sample, std::span<double> gradient) {
    const auto z = sample.logits;
    const double norm = std::sqrt(std::inner_product(z.begin(), z.end(), z.begin(), 0.0));
    const double floored = norm + k_floor, factor = 1 / (t * floored);
    for (std::size_t j = 0; j < z.size(); ++j) gradient[j] = factor * z[j];
    const double loss = cross_entropy(gradient, sample.label);
    const double along =
        norm > 0 ? std::inner_product(z.begin(), z.end(), gradient.begin(), 0.0) / (norm * floored) : 0;
    for (std::size_t j = 0; j < z.size(); ++j) gradient[j] = factor * (gradient[j] - z[j] * along);
    return loss;
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "logitnorm",
    .class_name = "LogitNorm",
    .title = "LogitNorm",
    .equation = "l = log sum_j exp(u[j]) - u[y],  u = z / (temperature (|z|_2 + 1e-7))",
    .paper =
        "Wei, Xie, Cheng, Feng, An, Li: Mitigating Neural Network Overconfidence with Logit Normalization, ICML "
        "2022, arXiv 2205.09310",
    .advice = "For calibration and the detection of strange inputs.",
    .pitfalls =
        "Not made for imbalance. With temperature 1 (the code's default) it cannot learn: the logits have "
        "norm 1.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .ignores_offset = false,
    .takes_masks = false,
    .shardable = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::logitnorm
