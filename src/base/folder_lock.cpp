#include "ulmus/base/folder_lock.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <ctime>

#include "base/posix.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

namespace fs = std::filesystem;
using detail::Descriptor;
using detail::open_file;
using detail::throw_io_error;
using detail::uninterrupted;
using detail::write_all;

namespace {

/// "process 123 on host since 2026-01-31T12:00:00Z".
std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"unknown host"};
  return fmt::format("process {} on {} since {:%Y-%m-%dT%H:%M:%SZ}", ::getpid(), host.data(),
                     fmt::gmtime(std::time(nullptr)));
}

std::string lock_holder(int file) {
  std::array<char, 512> text{};
  const ssize_t size = uninterrupted([&] { return ::pread(file, text.data(), text.size(), 0); });
  std::string_view holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  holder = holder.substr(0, holder.find('\n'));
  return holder.empty() ? "another process" : printable(holder);
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : path_(folder / k_name) {
  // The previous holder may remove the file after we open it and before we lock it; then retry with the new file.
  for (;;) {
    Descriptor file{open_file(path_, O_RDWR | O_CREAT)};
    if (file.value < 0) throw_io_error("create", path_, errno);
    if (uninterrupted([&] { return ::flock(file.value, LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK)
        throw Error(ErrorKind::environment, fmt::format("'{}' is being written by {}; wait until it has ended",
                                                        folder.string(), lock_holder(file.value)));
      warn_once("lock " + path_.string(),
                fmt::format("'{}' cannot be locked ({}): see to it that no other process writes this run",
                            folder.string(), std::strerror(errno)));
    }
    struct stat ours = {}, there = {};
    if (::fstat(file.value, &ours) != 0 || ::stat(path_.c_str(), &there) != 0 || ours.st_ino != there.st_ino ||
        ours.st_dev != there.st_dev)
      continue;
    try {
      if (::ftruncate(file.value, 0) != 0) throw_io_error("write", path_, errno);
      write_all(file.value, this_process() + "\n", path_);
    } catch (const Error&) {
      ::unlink(path_.c_str());
      throw;
    }
    file_ = std::exchange(file.value, -1);
    return;
  }
}

FolderLock::~FolderLock() {
  if (!leave_) ::unlink(path_.c_str());
  ::close(file_);
}

}  // namespace ulmus
