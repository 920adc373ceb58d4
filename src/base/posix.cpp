#include "base/posix.hpp"

#include <fmt/format.h>

#include <cstring>

#include "ulmus/base/error.hpp"

namespace ulmus::detail {

std::string error_reason(int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return fmt::format("{}{}", std::strerror(code), full ? "; free space or choose another place" : "");
}

void throw_io_error(const char* action, const std::filesystem::path& path, int code) {
  throw Error(ErrorKind::environment, fmt::format("cannot {} '{}': {}", action, path.string(), error_reason(code)));
}

int open_file(const std::filesystem::path& path, int flags) {
  return uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
}

void write_all(int file, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(file, content.data(), content.size()); });
    if (written < 0) throw_io_error("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace ulmus::detail
