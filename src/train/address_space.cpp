#include "ulmus/train/address_space.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"

namespace ulmus::detail {
namespace {

constexpr std::uint64_t k_mebibyte = std::uint64_t{1} << 20;
/// Reserve for allocations before the first product.
constexpr std::uint64_t k_slack = 128 * k_mebibyte;

std::uint64_t address_space_in_use() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void require_address_space(std::int64_t callers, std::int64_t threads) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const std::uint64_t needed = static_cast<std::uint64_t>(callers * threads + 1) * k_openblas_buffer + k_slack;
  const std::uint64_t used = address_space_in_use();
  if (used + needed <= limit.rlim_cur) return;
  throw Error(ErrorKind::environment,
              fmt::format("the address space is limited to {} MiB, expected at least {} MiB for {} and {}; raise the "
                          "limit (ulimit -v), or lower {} and {}",
                          limit.rlim_cur / k_mebibyte, (used + needed) / k_mebibyte,
                          callers == 1 ? "1 job" : fmt::format("{} jobs", callers),
                          threads == 1 ? "1 thread" : fmt::format("{} threads each", threads), option_name("jobs"),
                          option_name("threads")));
}

}  // namespace ulmus::detail
