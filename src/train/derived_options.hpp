#pragma once

#include <cstdint>
#include <optional>

#include "train/head_fit.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/nn/model_options.hpp"
#include "ulmus/train/options.hpp"

/// The options of a run as the rooms below take them.
namespace ulmus::detail {

OpenOptions open_options(const RunOptions& options);

ModelOptions model_options(const RunOptions& options, const Dataset& data, Head head);

/// The reduction that the options ask for; unset: that of each loss's definition.
std::optional<Reduction> requested_reduction(const RunOptions& options);

/// For a head that is fitted anew: the run's batch size and reduction.
HeadFitOptions head_fit_options(const RunOptions& options, std::uint64_t seed);

}  // namespace ulmus::detail
