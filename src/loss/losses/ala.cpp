#include <algorithm>
#include <cmath>
#include <numbers>

#include "loss/definition.hpp"

namespace ulmus::detail::ala {
namespace {

constexpr Key k_keys[] = {k_margin_scale, k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  std::vector<double> strength = positive_counts(counts);
  const double smallest = *std::min_element(strength.begin(), strength.end());
  for (double& a : strength) a = std::numbers::ln2 / std::log(a / smallest + 1);
  return {.scale = keys["scale"],
          .true_logit = {.kind = TrueLogitRule::Kind::difficulty, .of_class = std::move(strength)},
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "ala",
    .class_name = "ALA",
    .title = "adaptive logit adjustment",
    .equation = "l = ce of s z with t = z[y] - A[y] (1 - z[y]) / 2 for z[y],  A[j] = log 2 / log(n[j] / n_min + 1)",
    .paper =
        "Zhao et al.: Adaptive Logit Adjustment Loss for Long-Tailed Visual Recognition, AAAI "
        "2022, arXiv 2104.06094",
    .advice = "A margin that is larger for rare classes and for hard samples, with nothing to tune.",
    .pitfalls =
        "Only third-party code is public; its constant log 2 and its treatment of the adjustment as "
        "constant for the gradient are followed.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .has_constant_part = true,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::ala
