#pragma once

#include <cstdint>

namespace ulmus::detail {

/// Throws Error{environment} when a limit of the address space (`ulimit -v`) leaves too little for OpenBLAS, which
/// tries for ever to get memory that the system denies. `callers` multiply matrices at the same time, each with
/// `threads`.
void require_address_space(std::int64_t callers, std::int64_t threads);

}  // namespace ulmus::detail
