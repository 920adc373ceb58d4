#pragma once

#include <cstdint>

namespace ulmus {

/// Bytes of memory that this process may use: those of the machine, or the limit of its control group (version 1 or 2,
/// or of a group above it) where that is less. What other processes use is not subtracted.
std::int64_t usable_memory();

}  // namespace ulmus
