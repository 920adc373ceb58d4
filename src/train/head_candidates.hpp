#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ulmus/eval/tuning.hpp"
#include "ulmus/train/tune.hpp"

namespace ulmus::detail {

inline constexpr std::size_t k_most_candidates = 10'000;

/// A head that `tune` will fit.
struct HeadCandidate {
  TuneCandidate result;  ///< without its evaluation
  std::optional<SecondStage> stage;
  LossSpec loss;   ///< that it is fitted with, and whose scale it has
  double tau = 0;  ///< of `tau_norm`
};

/// Every entry of the list with every combination of the values that the grid has for its keys. `loss` and `head` are
/// those of the trained model. Throws Error{usage} for a second stage that the head rules out, a key of the grid that
/// no entry has or that an entry sets itself, a candidate that comes twice, and for more than k_most_candidates.
std::vector<HeadCandidate> make_candidates(const TuneOptions& options, const LossSpec& loss, Head head);

}  // namespace ulmus::detail
