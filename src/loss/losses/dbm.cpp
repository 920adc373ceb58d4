#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "loss/definition.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus::detail::dbm {
namespace {

constexpr Key k_keys[] = {
    {"max_margin", 0.1, {0, 3.14}, "margin of the rarest class, in radians", "released code"},
    {"tau", 1, k_any, "exponent of the margins", "released code"},
    {"lambda", 1, {0, 1000}, "how much more margin a hard sample gets", "released code"},
    {"base", "ce", {}, "what the margin is added to", "Son et al.", k_bases},
    {"scale", 32, k_positive, "multiplies the cosines before the softmax", "released code, CIFAR"},
    k_smoothing};

constexpr double k_largest_angle = 1000;  // up to here the cosine is accurate enough

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  std::vector<double> margins = positive_counts(counts);
  const double smallest = *std::min_element(margins.begin(), margins.end());
  for (double& m : margins) m = keys["max_margin"] * std::pow(smallest / m, keys["tau"]);
  for (const double m : margins)
    if (!(m <= k_largest_angle))
      throw Error(ErrorKind::usage,
                  fmt::format("with tau={} and these counts a margin of dbm is {:.3g} radians, expected at most {}; "
                              "choose a tau of at least 0",
                              keys["tau"], m, k_largest_angle));
  KernelParams params{.scale = keys["scale"], .smoothing = same_smoothing(counts, keys["smoothing"])};
  if (keys.word("base") == "bs") params.offset = log_prior(counts, 1, keys["scale"]);
  params.true_logit = {
      .kind = TrueLogitRule::Kind::class_angle, .of_class = std::move(margins), .a = keys["lambda"] / 2};
  return params;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "dbm",
    .class_name = "DBM",
    .title = "difficulty-aware balancing margin",
    .equation =
        "l = ce of s z + o with cos(theta[y] + M) for z[y] = cos theta[y],  "
        "M = m[y] (1 + [argmax z != y] lambda (1 - z[y]) / 2),  m[j] = max_margin (n_min / n[j])^tau;  "
        "o = 0, or log pi (base bs)",
    .paper = "Son et al.: Difficulty-aware Balancing Margin Loss for Long-tailed Recognition, AAAI 2025",
    .advice = "With base=bs the best single plain network of the published tables.",
    .pitfalls =
        "Nothing is constant for the gradient. theta + M is not stopped at pi, as in the released code, "
        "which also takes the last class for the rarest; this takes the rarest.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::dbm
