#pragma once

#include <cstdint>

namespace ulmus::detail {

/// Sets the number of threads with which LibTorch computes for the calling thread: `threads`, at most the limit of the
/// OpenMP runtime (`OMP_THREAD_LIMIT`), because OpenBLAS waits forever for threads beyond it.
void set_torch_threads(std::int64_t threads);

}  // namespace ulmus::detail
