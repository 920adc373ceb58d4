// Gaussian clouded logits: lowers every logit by random noise whose amplitude grows with the rarity of the class.
#include <algorithm>
#include <cmath>

#include "loss/definition.hpp"
#include "loss/random_step.hpp"

namespace ulmus::detail::gcl {
namespace {

constexpr Key k_keys[] = {
    {"noise", 0.5, k_not_negative, "a, amplitude of the noise for the rarest class", "released code, stage 1"},
    {"margin", 0, k_any, "subtracted from the true cosine", "released code, stage 1"},
    k_margin_scale};

constexpr double k_deviation = 1.0 / 3;  // Li et al.

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_margin = std::vector<double>(static_cast<std::size_t>(counts.classes()), keys["margin"])};
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  std::vector<double> amplitude = positive_counts(counts);
  const auto [smallest, largest] = std::minmax_element(amplitude.begin(), amplitude.end());
  const double most = std::log(*largest), range = most - std::log(*smallest);
  for (double& r : amplitude) r = range > 0 ? keys["noise"] * (most - std::log(r)) / range : 0;

  LossHooks hooks;
  count_batches(hooks);
  hooks.row_offset = [amplitude = std::move(amplitude), scale = keys["scale"]](
                         const Sample& sample, const LossState& state, std::span<double> offset) {
    Stream stream = draws_of("gcl", sample, state);
    for (std::size_t j = 0; j < offset.size(); ++j) {
      const double noise =
          sample.noise.empty() ? std::clamp(k_deviation * stream.normal(), -1.0, 1.0) : sample.noise[j];
      offset[j] -= scale * amplitude[j] * std::fabs(noise);
    }
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "gcl",
    .class_name = "GCL",
    .title = "Gaussian clouded logits",
    .equation =
        "l = log sum_j exp(u[j]) - u[y],  u[j] = s (z[j] - a |e[j]| r[j] - margin [j = y]),  "
        "e[j] drawn from N(0, 1/3) clipped to [-1, 1],  r[j] = log(n_max / n[j]) / log(n_max / n_min)",
    .paper =
        "Li, Cheung, Lu: Long-tailed Visual Recognition via Gaussian Clouded Logit Adjustment, CVPR 2022, "
        "arXiv 2305.11733",
    .advice =
        "Noise widens the rare classes' region; made for two stages, the second re-training the head with "
        "balanced sampling and margin 0.1.",
    .pitfalls =
        "Noise lowers every class, not only the true one. Equal counts mean no noise (0/0 in released "
        "code). Draws depend on the seed, the batch and the row only.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
};

}  // namespace ulmus::detail::gcl
