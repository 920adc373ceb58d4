#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace ulmus::detail {

/// Throws Error{environment}: "cannot ACTION 'PATH': REASON", with advice if the disk is full. `code` is errno.
[[noreturn]] void throw_io_error(const char* action, const std::filesystem::path& path, int code);

/// The system's text for an error code, with advice if the disk is full.
std::string error_reason(int code);

/// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  for (;;)
    if (const auto result = call(); result >= 0 || errno != EINTR) return result;
}

int open_file(const std::filesystem::path& path, int flags);

/// Closes a file descriptor on destruction. Linux releases the descriptor even if close() is interrupted, so close() is
/// never repeated.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void write_all(int file, std::string_view content, const std::filesystem::path& path);

}  // namespace ulmus::detail
