#include "ulmus/base/file.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <charconv>
#include <cstring>
#include <mutex>
#include <set>

#include "base/posix.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {

namespace fs = std::filesystem;
using detail::Descriptor;
using detail::open_file;
using detail::throw_io_error;
using detail::uninterrupted;
using detail::write_all;

namespace {

constexpr std::size_t k_write_size = std::size_t{1} << 20;
constexpr std::string_view k_temporary = ".tmp";

void close_written(int& file, const fs::path& path) {
  if (::close(std::exchange(file, -1)) != 0 && errno != EINTR) throw_io_error("write", path, errno);
}

void synchronise(int file, const fs::path& path) {
  if (uninterrupted([&] { return ::fsync(file); }) != 0 && errno != EINVAL && errno != ENOTSUP)
    throw_io_error("write", path, errno);
}

/// A new file name is only durable once its folder has been synchronised.
void synchronise_folder(const fs::path& folder) {
  const Descriptor file{open_file(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY)};
  if (file.value < 0 && errno == EACCES) return;  // a folder may be writable but not readable
  if (file.value < 0) throw_io_error("open folder", folder, errno);
  synchronise(file.value, folder);
}

/// The open temporary files of this process.
struct Temporaries {
  std::mutex mutex;
  std::set<std::string> paths;
};

Temporaries& temporaries() {
  static auto* const all = new Temporaries;  // outlives every AtomicFile
  return *all;
}

void forget_temporary(const fs::path& path) {
  const std::lock_guard lock(temporaries().mutex);
  temporaries().paths.erase(path.string());
}

/// Returns the process ID in the name of a temporary file; 0 for every other name.
pid_t writer_process(const fs::path& path) {
  const std::string extension = path.extension().string();
  if (!extension.starts_with(k_temporary)) return 0;
  pid_t process = 0;
  const char* const end = extension.data() + extension.size();
  const auto [rest, error] = std::from_chars(extension.data() + k_temporary.size(), end, process);
  return error == std::errc() && rest == end && process > 0 ? process : 0;
}

}  // namespace

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), temporary_(fmt::format("{}{}{}", path_.string(), k_temporary, ::getpid())) {
  {
    const std::lock_guard lock(temporaries().mutex);
    temporaries().paths.insert(temporary_.string());
  }
  file_ = open_file(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
  if (file_ < 0) {
    const int code = errno;
    forget_temporary(temporary_);
    throw_io_error("create", path_, code);
  }
}

AtomicFile::~AtomicFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
  forget_temporary(temporary_);
}

void AtomicFile::write(std::string_view content) {
  if (buffer_.size() + content.size() < k_write_size) {
    buffer_ += content;
    return;
  }
  flush();
  write_all(file_, content, path_);
}

void AtomicFile::flush() {
  write_all(file_, buffer_, path_);
  buffer_.clear();
}

const fs::path& AtomicFile::temporary() {
  flush();
  return temporary_;
}

void AtomicFile::commit() {
  flush();
  synchronise(file_, path_);
  // Stays open until the rename has succeeded, so that the destructor knows what to remove.
  if (uninterrupted([&] { return ::rename(temporary_.c_str(), path_.c_str()); }) != 0)
    throw_io_error("write", path_, errno);
  forget_temporary(temporary_);
  close_written(file_, path_);
  synchronise_folder(path_.parent_path());
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void remove_open_temporaries() noexcept {
  const std::lock_guard lock(temporaries().mutex);
  for (const std::string& path : temporaries().paths) ::unlink(path.c_str());
}

bool is_temporary(const fs::path& path) { return writer_process(path) != 0; }

void remove_abandoned_temporaries(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    const pid_t process = writer_process(it->path());
    if (process != 0 && ::kill(process, 0) != 0 && errno == ESRCH) ::unlink(it->path().c_str());
  }
}

void append_line(const fs::path& path, std::string_view line) {
  Descriptor file{open_file(path, O_WRONLY | O_CREAT | O_APPEND)};
  struct stat before = {};
  if (file.value < 0 || ::fstat(file.value, &before) != 0) throw_io_error("open", path, errno);
  write_all(file.value, std::string(line) + "\n", path);
  synchronise(file.value, path);
  close_written(file.value, path);
  if (before.st_size == 0) synchronise_folder(path.parent_path());
}

namespace {

/// `wanted` is the requested folder; `path` is `wanted` or one of its parents.
void make_folder_for(const fs::path& wanted, const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return;
  const fs::path parent = path.parent_path();
  if (!parent.empty() && parent != path) make_folder_for(wanted, parent);
  if (path.filename().empty()) return;  // a trailing slash
  const bool made = uninterrupted([&] { return ::mkdir(path.c_str(), 0777); }) == 0;
  if (const int error = errno; !made && !fs::is_directory(path, code)) {
    const int cause = error == EEXIST ? ENOTDIR : error;
    if (path == wanted) throw_io_error("create folder", path, cause);
    throw Error(ErrorKind::environment, fmt::format("cannot create folder '{}': '{}': {}", wanted.string(),
                                                    path.string(), detail::error_reason(cause)));
  }
  if (made) synchronise_folder(parent);
}

}  // namespace

void make_folder(const fs::path& path) { make_folder_for(path, path); }

}  // namespace ulmus
