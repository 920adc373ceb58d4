// Equalisation loss: rare classes are not pushed down by the samples of others.
#include <cmath>
#include <limits>

#include "loss/members/fills.hpp"
#include "loss/members/random_step.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_eql_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.reduction = Reduction::mean};
  std::vector<bool> rare;
  for (const double share : counts.prior()) rare.push_back(share < keys["lambda"]);

  if (keys.word("kind") == "sigmoid") {
    constexpr double k_prior_probability = 0.001;  // Tan et al.
    params.hooks.initial_bias = std::log(k_prior_probability / (1 - k_prior_probability));
    params.hooks.row_loss = [rare](const Sample& sample, std::span<double> gradient) {
      double loss = 0;
      for (std::size_t j = 0; j < gradient.size(); ++j) {
        const bool own = j == static_cast<std::size_t>(sample.label);
        const double sign = own ? 1 : -1, c = rare[j] && !own ? 0 : softplus(-sign * sample.logits[j]);
        loss += c;
        gradient[j] = sign * std::expm1(-c);
      }
      return loss;
    };
    return params;
  }

  count_batches(params.hooks);
  params.hooks.row_offset = [rare, gamma = keys["gamma"]](const Sample& sample, const LossState& state,
                                                          std::span<double> offset) {
    Stream stream = draws_of("eql", sample, state);
    for (std::size_t j = 0; j < offset.size(); ++j) {
      if (!rare[j] || j == static_cast<std::size_t>(sample.label)) continue;
      const bool spared = sample.noise.empty() ? stream.uniform() < gamma : sample.noise[j] != 0;
      if (spared) offset[j] = -std::numeric_limits<double>::infinity();
    }
  };
  return params;
}

}  // namespace ulmus::detail
