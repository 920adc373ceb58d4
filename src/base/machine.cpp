#include "ulmus/base/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace ulmus {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t k_unlimited = std::numeric_limits<std::int64_t>::max();

std::int64_t physical_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? std::int64_t{pages} * size : k_unlimited / 2;
}

/// The number in a file; k_unlimited where there is none, as in "max".
std::int64_t number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::string text;
  stream >> text;
  std::int64_t number = 0;
  const auto [stopped, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  return status == std::errc{} ? number : k_unlimited;
}

/// The limit that a folder of a control group states, k_unlimited without one.
using Limit = std::int64_t (*)(const fs::path& folder);

std::int64_t memory_of_version_1(const fs::path& folder) { return number_in(folder / "memory.limit_in_bytes"); }
std::int64_t memory_of_version_2(const fs::path& folder) { return number_in(folder / "memory.max"); }

std::int64_t cores_in(std::int64_t quota, std::int64_t period) {
  if (quota <= 0 || quota == k_unlimited || period <= 0 || period == k_unlimited) return k_unlimited;
  return quota / period + (quota % period != 0 ? 1 : 0);
}
std::int64_t cores_of_version_1(const fs::path& folder) {
  return cores_in(number_in(folder / "cpu.cfs_quota_us"), number_in(folder / "cpu.cfs_period_us"));
}
std::int64_t cores_of_version_2(const fs::path& folder) {
  std::ifstream stream(folder / "cpu.max");  // "200000 100000" or "max 100000"
  std::int64_t quota = 0, period = 0;
  return stream >> quota >> period ? cores_in(quota, period) : k_unlimited;
}

/// The least limit of a group and those above it. Inside a container the group is often mounted as the root, so its
/// path does not exist there, and the root is read all the same.
std::int64_t least_limit(const fs::path& root, fs::path group, Limit limit) {
  std::int64_t least = limit(root);
  for (; group.has_relative_path(); group = group.parent_path())
    least = std::min(least, limit(root / group.relative_path()));
  return least;
}

/// The limit of this process's groups; `controller` is "memory" or "cpu".
std::int64_t group_limit(const std::string& controller, Limit version_1, Limit version_2) {
  std::ifstream groups("/proc/self/cgroup");
  std::int64_t least = k_unlimited;
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b" of version 2, "4:cpu,cpuacct:/a/b" of version 1
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty())
      least = std::min(least, least_limit("/sys/fs/cgroup", group, version_2));
    else if (("," + controllers + ",").find("," + controller + ",") != std::string::npos)
      least = std::min(least, least_limit("/sys/fs/cgroup/" + controller, group, version_1));
  }
  return least;
}

std::int64_t affine_cores() {
  // The C library counts the cores of the machine, even in a container that has some of them.
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));  // more than 1024 cores
}

}  // namespace

std::int64_t usable_memory() {
  return std::min(physical_memory(), group_limit("memory", memory_of_version_1, memory_of_version_2));
}

std::int64_t usable_cores() {
  return std::max<std::int64_t>(1,
                                std::min(affine_cores(), group_limit("cpu", cores_of_version_1, cores_of_version_2)));
}

}  // namespace ulmus
