#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// The instruction sets that this build has kernels for and this machine can run, best first; never empty.
/// Of "avx512", "avx2", "sse4", "neon", "scalar".
std::vector<std::string> available_targets();

/// The one in use: the best, or the one that the environment variable ULMUS_TARGET or use_target() names. Throws
/// Error{environment} when ULMUS_TARGET names one that is unknown or that this machine cannot run, listing those that
/// it can.
std::string_view target_in_use();

/// Uses this instruction set from now on in the whole process; an empty name goes back to the default. Throws
/// Error{usage} like target_in_use(). Batches that run at the same time may use either.
void use_target(std::string_view name);

}  // namespace ulmus
