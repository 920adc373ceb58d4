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

/// Whether a run with these options of a plan trains a head alone, on features that do not change: a linear model, or
/// a frozen backbone without random augmentation, or with fixed `views` of its images. With `unfreeze`, that is its
/// first stage.
bool trains_head_alone(const RunOptions& options);

/// For fitting a new head. The training of a run that trains a head alone, so that a value chosen by fits is chosen for
/// what follows; otherwise the run's batch size and reduction, with the loss as it is at the end of the training.
HeadFitOptions head_fit_options(const RunOptions& options, std::uint64_t seed);

}  // namespace ulmus::detail
