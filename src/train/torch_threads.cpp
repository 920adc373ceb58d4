#include "train/torch_threads.hpp"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>

namespace ulmus::detail {

void set_torch_threads(std::int64_t threads) {
  at::set_num_threads(static_cast<int>(std::clamp<std::int64_t>(threads, 1, omp_get_thread_limit())));
}

}  // namespace ulmus::detail
