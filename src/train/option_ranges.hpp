#pragma once

#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// Throws Error{usage} for the first option that is out of its range, is an unknown word, or is not UTF-8.
void check_ranges(const RunOptions& options);

}  // namespace ulmus::detail
