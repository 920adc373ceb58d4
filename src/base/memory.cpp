#include "ulmus/base/memory.hpp"

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

/// The least limit of a group and those above it. Inside a container the group is often mounted as the root, so its
/// path does not exist there, and the root is read all the same.
std::int64_t least_limit(const fs::path& root, fs::path group, const char* file) {
  std::int64_t least = number_in(root / file);
  for (; group.has_relative_path(); group = group.parent_path())
    least = std::min(least, number_in(root / group.relative_path() / file));
  return least;
}

std::int64_t group_limit() {
  std::ifstream groups("/proc/self/cgroup");
  std::int64_t least = k_unlimited;
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b" of version 2, "4:memory:/a/b" of version 1
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty())
      least = std::min(least, least_limit("/sys/fs/cgroup", group, "memory.max"));
    else if (controllers == "memory")
      least = std::min(least, least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
  }
  return least;
}

}  // namespace

std::int64_t usable_memory() { return std::min(physical_memory(), group_limit()); }

}  // namespace ulmus
