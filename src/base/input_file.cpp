#include "ulmus/base/input_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstring>

#include "base/posix.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/machine.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t k_growth = std::size_t{1} << 20;

/// Decides whether a file cannot be read because its name is wrong or because of the machine.
ErrorKind error_kind(int code) {
  const bool named_wrongly = code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG || code == ELOOP ||
                             code == EISDIR || code == ENXIO || code == ENODEV;
  return named_wrongly ? ErrorKind::data : ErrorKind::environment;
}

[[noreturn]] void throw_unreadable(const fs::path& path, ErrorKind kind, const std::string& why) {
  throw Error(kind, fmt::format("cannot read '{}': {}", path.string(), why));
}

}  // namespace

namespace detail {

InputFile::InputFile(fs::path path) : path_(std::move(path)) {
  // Without O_NONBLOCK, opening a pipe without a writer would block.
  Descriptor file{open_file(path_, O_RDONLY | O_NONBLOCK | O_NOCTTY)};
  struct stat status = {};
  if (file.value < 0 || ::fstat(file.value, &status) != 0)
    throw_unreadable(path_, error_kind(errno), std::strerror(errno));
  if (S_ISDIR(status.st_mode)) throw_unreadable(path_, ErrorKind::data, "it is a folder");
  if (!S_ISREG(status.st_mode))
    throw_unreadable(path_, ErrorKind::data,
                     fmt::format("it is a {}, expected a file; write what comes out of it to a file first",
                                 S_ISFIFO(status.st_mode)   ? "pipe"
                                 : S_ISSOCK(status.st_mode) ? "socket"
                                                            : "device"));
  size_ = static_cast<std::size_t>(status.st_size);
  file_ = std::exchange(file.value, -1);
}

InputFile::~InputFile() { ::close(file_); }

std::size_t InputFile::read(std::size_t begin, std::span<char> out) const {
  std::size_t size = 0;
  while (size < out.size()) {
    const ssize_t came = uninterrupted(
        [&] { return ::pread(file_, out.data() + size, out.size() - size, static_cast<off_t>(begin + size)); });
    if (came < 0) throw_unreadable(path_, error_kind(errno), std::strerror(errno));
    if (came == 0) break;
    size += static_cast<std::size_t>(came);
  }
  return size;
}

void InputFile::will_read(std::size_t begin, std::size_t size) const {
  ::posix_fadvise(file_, static_cast<off_t>(begin), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
}

}  // namespace detail

std::string read_file(const fs::path& path, std::size_t limit) {
  const detail::InputFile file(path);
  const auto memory = static_cast<std::size_t>(usable_memory());
  const auto check_size = [&](std::size_t size) {
    if (size > limit)
      throw_unreadable(path, ErrorKind::data, fmt::format("it has more than the {} bytes that are expected", limit));
    if (size > memory)
      throw_unreadable(
          path, ErrorKind::environment,
          fmt::format("it has more bytes than there is memory ({:.1f} GB)", static_cast<double>(memory) / 1e9));
  };
  check_size(file.size());
  // One byte more than the file size, so that the end is detected without growing. Files without a size (/proc) grow.
  std::string content(file.size() + 1, '\0');
  for (std::size_t size = 0;;) {
    size += file.read(size, std::span(content).subspan(size));
    check_size(size);
    if (size < content.size()) {
      content.resize(size);
      return content;
    }
    content.resize(2 * size + k_growth);
  }
}

}  // namespace ulmus
