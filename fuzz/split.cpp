#include "ulmus/data/split.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.hpp"

using namespace ulmus;

/// A manifest is read from a file; this one is in memory.
ULMUS_FUZZER(data, size) {
  static const int file = ::memfd_create("split.json", 0);
  static const std::string path = fmt::format("/proc/self/fd/{}", file);
  fuzz::require(::ftruncate(file, 0) == 0 && ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size),
                "the input is written");
  fuzz::allow_errors([&] {
    const Split split = read_split(path);
    const std::string json = to_json(split);
    fuzz::require(!json.empty(), "a manifest that was read can be written");
  });
  return 0;
}
