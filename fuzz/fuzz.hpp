#pragma once

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "ulmus/base/error.hpp"

/// Common part of all fuzzers: for any bytes, the result is a value or an ulmus::Error of one line. Any other
/// exception, a crash, a sanitizer report, a hang or disproportionate memory use is a finding.
namespace ulmus::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

[[noreturn]] inline void finding(const char* claim) {
  std::fprintf(stderr, "claim broken: %s\n", claim);
  std::abort();
}

inline void require(bool holds, const char* claim) {
  if (!holds) finding(claim);
}

/// A file in memory for code that reads files: at its own path, or behind a symbolic link at the given path.
class MemoryFile {
 public:
  MemoryFile() : file_(::memfd_create("fuzz", 0)), path_(fmt::format("/proc/self/fd/{}", file_)) {}
  explicit MemoryFile(const std::filesystem::path& link) : MemoryFile() {
    std::filesystem::create_symlink(path_, link);
  }

  const std::string& path() const { return path_; }
  void write(std::string_view content) const {
    require(::ftruncate(file_, 0) == 0 &&
                ::pwrite(file_, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()),
            "the input is written");
  }

 private:
  int file_;
  std::string path_;
};

template <class Action>
void allow_errors(Action action) {
  try {
    action();
  } catch (const Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos, "an error is one line");
  }
}

}  // namespace ulmus::fuzz

#define ULMUS_FUZZER(data, size) extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
