// Gaussian clouded logits: every logit lowered by random noise, of an amplitude that grows as the class gets rarer.
#include <algorithm>
#include <cmath>

#include "loss/members/fills.hpp"
#include "loss/members/random_step.hpp"

namespace ulmus::detail {

KernelParams make_gcl_params(const KeyValues& keys, const ClassCounts& counts) {
  constexpr double k_deviation = 1.0 / 3;  // Li et al.
  KernelParams params{.scale = keys["scale"]};
  params.true_margin.assign(static_cast<std::size_t>(counts.classes()), keys["margin"]);
  std::vector<double> amplitude = positive_counts(counts);
  const auto [smallest, largest] = std::minmax_element(amplitude.begin(), amplitude.end());
  const double most = std::log(*largest), range = most - std::log(*smallest);
  for (double& r : amplitude) r = range > 0 ? keys["noise"] * (most - std::log(r)) / range : 0;

  count_batches(params.hooks);
  params.hooks.row_offset = [amplitude = std::move(amplitude), scale = params.scale](
                                const Sample& sample, const LossState& state, std::span<double> offset) {
    Stream stream = draws_of("gcl", sample, state);
    for (std::size_t j = 0; j < offset.size(); ++j) {
      const double noise =
          sample.noise.empty() ? std::clamp(k_deviation * stream.normal(), -1.0, 1.0) : sample.noise[j];
      offset[j] -= scale * amplitude[j] * std::fabs(noise);
    }
  };
  return params;
}

}  // namespace ulmus::detail
