#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// The instruction sets for which this build has kernels and that this machine supports, best first; never empty.
/// Subset of "avx512", "avx2", "sse4", "neon", "scalar".
std::vector<std::string> available_targets();

/// The instruction set in use: the best one, or the one that the environment variable ULMUS_TARGET or use_target()
/// selects. Throws Error{environment} if ULMUS_TARGET is unknown or not supported by this machine, listing the
/// supported ones.
std::string_view target_in_use();

/// Selects the instruction set for the whole process; an empty name restores the default. Throws Error{usage} in the
/// cases of target_in_use(). Batches that run concurrently may use either.
void use_target(std::string_view name);

}  // namespace ulmus
