#pragma once

#include <cstdint>

namespace ulmus::detail {

/// The memory that OpenBLAS maps for each thread that multiplies: BUFFER_SIZE of its x86-64 builds for many processors.
inline constexpr std::uint64_t k_openblas_buffer = std::uint64_t{128} << 20;

/// Throws Error{environment} when a limit of the address space (`ulimit -v`) leaves too little for OpenBLAS, which
/// would retry a denied allocation for ever. `callers` multiply matrices at the same time, each with `threads`.
void require_address_space(std::int64_t callers, std::int64_t threads);

}  // namespace ulmus::detail
