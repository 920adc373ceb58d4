// OpenBLAS maps a buffer per processor while it is loaded, before main, and retries forever if a limit of the address
// space (ulimit -v) denies it. The code here runs before any library is initialised, so it uses only system calls and
// plain functions of the C library.
#include "ulmus/train/address_space.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "ulmus/base/error.hpp"

namespace {

constexpr std::uint64_t k_mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t k_buffer = ulmus::detail::k_openblas_buffer + k_mebibyte;  // including malloc's overhead
constexpr std::uint64_t k_slack = 96 * k_mebibyte;                                 // for the other libraries

std::uint64_t address_space_in_use() {
  char text[32] = {};
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const bool has_text = read(file, text, sizeof text - 1) > 0;
  close(file);
  return has_text ? std::strtoull(text, nullptr, 10) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

void require_address_space(int, char**, char**) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  cpu_set_t processors;
  const int threads = sched_getaffinity(0, sizeof processors, &processors) == 0 ? CPU_COUNT(&processors) : 1;
  const std::uint64_t needed = address_space_in_use() + static_cast<std::uint64_t>(threads) * k_buffer + k_slack;
  if (needed <= limit.rlim_cur) return;
  char message[160];
  const int length = std::snprintf(message, sizeof message,
                                   "ulmus: the address space is limited to %llu MiB, expected at least %llu MiB to "
                                   "start; raise the limit (ulimit -v)\n",
                                   static_cast<unsigned long long>(limit.rlim_cur / k_mebibyte),
                                   static_cast<unsigned long long>(needed / k_mebibyte));
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message, static_cast<std::size_t>(length));
  _exit(static_cast<int>(ulmus::ErrorKind::environment));
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const k_before_libraries)(int, char**,
                                                                               char**) = require_address_space;

}  // namespace
