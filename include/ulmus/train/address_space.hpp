#pragma once

#include <cstdint>

namespace ulmus::detail {

/// Address space that OpenBLAS maps per multiplying thread: BUFFER_SIZE of its x86-64 builds for many processors.
inline constexpr std::uint64_t k_openblas_buffer = std::uint64_t{128} << 20;

/// Throws Error{environment} if a limit of the address space (`ulimit -v`) leaves too little for OpenBLAS, which would
/// retry a denied allocation forever. `callers` multiply matrices concurrently, each with `threads`.
void require_address_space(std::int64_t callers, std::int64_t threads);

}  // namespace ulmus::detail
