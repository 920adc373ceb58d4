#pragma once

#include <string_view>

#include "ulmus/base/random.hpp"
#include "ulmus/loss/hooks.hpp"

/// The random draws of a loss, whose state is the number of batches seen.
namespace ulmus::detail {

/// The random stream of a sample: a function of seed, step and position in the batch.
inline Stream draws_of(std::string_view loss, const Sample& sample, const LossState& state) {
  return Stream(state.seed, loss, static_cast<std::uint64_t>(state.values[0]),
                static_cast<std::uint64_t>(sample.position));
}

/// Counts each batch once, in the process that has the first row.
inline void count_batches(LossHooks& hooks) {
  hooks.initial_state = {0};
  hooks.collect_update = [](const BatchView& batch, const LossState&) {
    bool has_first_row = false;
    for (std::int64_t i = 0; i < batch.rows; ++i) has_first_row = has_first_row || batch.position(i) == 0;
    return std::vector<double>{has_first_row ? 1.0 : 0.0};
  };
  hooks.apply_update = [](LossState& state, std::span<const double> step) { state.values[0] += step[0]; };
}

}  // namespace ulmus::detail
