#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ulmus/eval/tuning.hpp"
#include "ulmus/train/tune.hpp"

namespace ulmus::detail {

inline constexpr std::size_t k_most_candidates = 10'000;

/// A head to be fitted by `tune`.
struct HeadCandidate {
  TuneCandidate result;  ///< evaluation not yet set
  std::optional<SecondStage> stage;
  LossSpec loss;   ///< the loss with which it is fitted, and which determines its scale
  double tau = 0;  ///< for `tau_norm`
};

/// Combines every entry of the list with all combinations of the grid's values for its keys. `loss` and `head` are
/// those of the trained model. Throws Error{usage} for a second stage that does not support the head, a key of the grid
/// that no entry has or that an entry sets itself, a duplicate candidate, and more than k_most_candidates.
std::vector<HeadCandidate> make_candidates(const TuneOptions& options, const LossSpec& loss, Head head);

}  // namespace ulmus::detail
