#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/data/inspection.hpp"

namespace ulmus {

/// Proposed options for a first run on a data set.
struct Proposal {
  std::string losses;
  std::string schedule;
  std::int64_t epochs = 0;
  std::int64_t validation = 0;       ///< samples of every class held out of the training part
  std::vector<std::string> reasons;  ///< one per decision, in the order above
  std::string command;               ///< `ulmus compare ...`, quoted for a shell
};

/// Proposes options by rules of thumb, from `run_counts` and the kind of samples:
///
///     losses       ratio below 3: ce. Images: ce, ldam+drw and elm:lambda=0.5+drw; features: ce and bs
///     schedule     cosine
///     epochs       2,000 steps of 128 samples for features and for grey images up to 32 x 32, 20,000 for others; a
///                  multiple of ten, from 10 (others from 90) to 200
///     validation   the largest number up to 20 that leaves the rarest class half of its samples
///
/// `opened` and `imbalance` are those of the inspection; the command repeats them. Returns nothing if a class would be
/// empty, because no run is possible then.
std::optional<Proposal> propose_run(const Inspection& inspection, const OpenOptions& opened,
                                    std::string_view imbalance = "none");

/// The reasons and the command, as terminal text.
std::string to_text(const Proposal& proposal);

/// The JSON of the inspection with the key `proposal`, null without a proposal.
std::string to_json(const Inspection& inspection, const std::optional<Proposal>& proposal);

}  // namespace ulmus
