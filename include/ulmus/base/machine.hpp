#pragma once

#include <cstdint>

/// What this process may use of the machine. What other processes use is not subtracted.
namespace ulmus {

/// Bytes of memory: those of the machine, or the limit of the process's control group (version 1 or 2, or of a group
/// above it) where that is less.
std::int64_t usable_memory();

/// Processor cores, at least 1: those that the process may run on (as set by taskset, a container or a batch system),
/// or the quota of its control group, rounded up, where that is less.
std::int64_t usable_cores();

}  // namespace ulmus
