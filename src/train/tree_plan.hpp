#pragma once

#include <vector>

#include "ulmus/data/dataset.hpp"
#include "ulmus/loss/class_counts.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// Sets the options of a run of trees: an epoch is a round. Throws Error{usage} for options of networks, which cannot
/// apply, and wrong keys of the model; Error{environment} without XGBoost.
void resolve_tree_options(RunOptions& options);

/// Throws Error{usage} for data that are images, and for a loss that trees cannot be grown on.
void require_tree_run(const RunOptions& options, const Dataset& data, const ClassCounts& counts);

}  // namespace ulmus::detail
