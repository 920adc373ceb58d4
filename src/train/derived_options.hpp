#pragma once

#include <cstdint>
#include <optional>

#include "train/head_fit.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/nn/model_options.hpp"
#include "ulmus/train/options.hpp"

/// Converts the options of a run to those of the modules that it uses.
namespace ulmus::detail {

OpenOptions open_options(const RunOptions& options);

ModelOptions model_options(const RunOptions& options, const Dataset& data, Head head);

/// The requested reduction; unset: that of each loss's definition.
std::optional<Reduction> requested_reduction(const RunOptions& options);

/// For fitting a new head: the run's batch size and reduction.
HeadFitOptions head_fit_options(const RunOptions& options, std::uint64_t seed);

}  // namespace ulmus::detail
