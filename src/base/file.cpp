#include "ulmus/base/file.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <mutex>
#include <set>
#include <span>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/input_file.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t k_write_size = std::size_t{1} << 20;
constexpr std::string_view k_temporary = ".tmp";

std::string reason(int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return fmt::format("{}{}", std::strerror(code), full ? "; free space or choose another place" : "");
}

[[noreturn]] void cannot(const char* action, const fs::path& path, int code) {
  throw Error(ErrorKind::environment, fmt::format("cannot {} '{}': {}", action, path.string(), reason(code)));
}

/// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  for (;;)
    if (const auto result = call(); result >= 0 || errno != EINTR) return result;
}

int open_file(const fs::path& path, int flags) {
  return uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
}

/// A file descriptor that closes itself. Linux gives the number back even where close() is interrupted, so it is never
/// repeated.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void close_written(int& file, const fs::path& path) {
  if (::close(std::exchange(file, -1)) != 0 && errno != EINTR) cannot("write", path, errno);
}

void write_all(int file, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(file, content.data(), content.size()); });
    if (written < 0) cannot("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

void synchronise(int file, const fs::path& path) {
  if (uninterrupted([&] { return ::fsync(file); }) != 0 && errno != EINVAL && errno != ENOTSUP)
    cannot("write", path, errno);
}

/// A new name in a folder is on the disk when the folder is.
void synchronise_folder(const fs::path& folder) {
  const Descriptor file{open_file(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY)};
  if (file.value < 0 && errno == EACCES) return;  // one may write in a folder that one may not read
  if (file.value < 0) cannot("open folder", folder, errno);
  synchronise(file.value, folder);
}

/// The temporary files that this process has open.
struct Temporaries {
  std::mutex mutex;
  std::set<std::string> paths;
};

Temporaries& temporaries() {
  static auto* const all = new Temporaries;  // outlives every WholeFile
  return *all;
}

void forget_temporary(const fs::path& path) {
  const std::lock_guard lock(temporaries().mutex);
  temporaries().paths.erase(path.string());
}

/// The process in the name of a temporary file; 0 for every other name.
pid_t writer_of(const fs::path& path) {
  const std::string extension = path.extension().string();
  if (!extension.starts_with(k_temporary)) return 0;
  pid_t process = 0;
  const char* const end = extension.data() + extension.size();
  const auto [rest, error] = std::from_chars(extension.data() + k_temporary.size(), end, process);
  return error == std::errc() && rest == end && process > 0 ? process : 0;
}

/// Whose fault it is that a file cannot be read.
ErrorKind kind_of(int code) {
  const bool named_wrongly = code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG || code == ELOOP ||
                             code == EISDIR || code == ENXIO || code == ENODEV;
  return named_wrongly ? ErrorKind::data : ErrorKind::environment;
}

std::size_t physical_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(size) : SIZE_MAX / 2;
}

}  // namespace

namespace {

[[noreturn]] void cannot_read(const fs::path& path, ErrorKind kind, const std::string& why) {
  throw Error(kind, fmt::format("cannot read '{}': {}", path.string(), why));
}

}  // namespace

namespace detail {

InputFile::InputFile(fs::path path) : path_(std::move(path)) {
  // Without O_NONBLOCK a pipe that nobody writes would be waited for here.
  Descriptor file{open_file(path_, O_RDONLY | O_NONBLOCK | O_NOCTTY)};
  struct stat status = {};
  if (file.value < 0 || ::fstat(file.value, &status) != 0) cannot_read(path_, kind_of(errno), std::strerror(errno));
  if (S_ISDIR(status.st_mode)) cannot_read(path_, ErrorKind::data, "it is a folder");
  if (!S_ISREG(status.st_mode))
    cannot_read(path_, ErrorKind::data,
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
    if (came < 0) cannot_read(path_, kind_of(errno), std::strerror(errno));
    if (came == 0) break;
    size += static_cast<std::size_t>(came);
  }
  return size;
}

}  // namespace detail

std::string read_file(const fs::path& path, std::size_t limit) {
  const detail::InputFile file(path);
  const std::size_t memory = physical_memory();
  const auto check_size = [&](std::size_t size) {
    if (size > limit)
      cannot_read(path, ErrorKind::data, fmt::format("it has more than the {} bytes that are expected", limit));
    if (size > memory)
      cannot_read(
          path, ErrorKind::environment,
          fmt::format("it has more bytes than this machine has memory ({:.1f} GB)", static_cast<double>(memory) / 1e9));
  };
  check_size(file.size());
  // One byte more than the file has, so that its end is seen without growing. What has no size, as in /proc, grows.
  std::string content(file.size() + 1, '\0');
  for (std::size_t size = 0;;) {
    size += file.read(size, std::span(content).subspan(size));
    check_size(size);
    if (size < content.size()) {
      content.resize(size);
      return content;
    }
    content.resize(2 * size + k_write_size);
  }
}

WholeFile::WholeFile(fs::path path)
    : path_(std::move(path)), temporary_(fmt::format("{}{}{}", path_.string(), k_temporary, ::getpid())) {
  {
    const std::lock_guard lock(temporaries().mutex);
    temporaries().paths.insert(temporary_.string());
  }
  file_ = open_file(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
  if (file_ < 0) {
    const int code = errno;
    forget_temporary(temporary_);
    cannot("create", path_, code);
  }
}

WholeFile::~WholeFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
  forget_temporary(temporary_);
}

void WholeFile::write(std::string_view content) {
  if (waiting_.size() + content.size() < k_write_size) {
    waiting_ += content;
    return;
  }
  flush();
  write_all(file_, content, path_);
}

void WholeFile::flush() {
  write_all(file_, waiting_, path_);
  waiting_.clear();
}

const fs::path& WholeFile::temporary() {
  flush();
  return temporary_;
}

void WholeFile::commit() {
  flush();
  synchronise(file_, path_);
  // Open until the rename has succeeded, so that the destructor knows what to remove.
  if (uninterrupted([&] { return ::rename(temporary_.c_str(), path_.c_str()); }) != 0) cannot("write", path_, errno);
  forget_temporary(temporary_);
  close_written(file_, path_);
  synchronise_folder(path_.parent_path());
}

void write_file(const fs::path& path, std::string_view content) {
  WholeFile file(path);
  file.write(content);
  file.commit();
}

void remove_open_temporaries() noexcept {
  const std::lock_guard lock(temporaries().mutex);
  for (const std::string& path : temporaries().paths) ::unlink(path.c_str());
}

bool is_temporary(const fs::path& path) { return writer_of(path) != 0; }

void remove_abandoned_temporaries(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    const pid_t process = writer_of(it->path());
    if (process != 0 && ::kill(process, 0) != 0 && errno == ESRCH) ::unlink(it->path().c_str());
  }
}

void append_line(const fs::path& path, std::string_view line) {
  Descriptor file{open_file(path, O_WRONLY | O_CREAT | O_APPEND)};
  struct stat before = {};
  if (file.value < 0 || ::fstat(file.value, &before) != 0) cannot("open", path, errno);
  write_all(file.value, std::string(line) + "\n", path);
  synchronise(file.value, path);
  close_written(file.value, path);
  if (before.st_size == 0) synchronise_folder(path.parent_path());
}

namespace {

/// `wanted` is the folder that was asked for; `path` is it or one above it.
void make_folder_for(const fs::path& wanted, const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return;
  const fs::path parent = path.parent_path();
  if (!parent.empty() && parent != path) make_folder_for(wanted, parent);
  if (path.filename().empty()) return;  // a slash at the end
  const bool made = uninterrupted([&] { return ::mkdir(path.c_str(), 0777); }) == 0;
  if (const int error = errno; !made && !fs::is_directory(path, code)) {
    const int cause = error == EEXIST ? ENOTDIR : error;
    if (path == wanted) cannot("create folder", path, cause);
    throw Error(ErrorKind::environment,
                fmt::format("cannot create folder '{}': '{}': {}", wanted.string(), path.string(), reason(cause)));
  }
  if (made) synchronise_folder(parent);
}

}  // namespace

void make_folder(const fs::path& path) { make_folder_for(path, path); }

namespace {

/// "process 123 on host since 2026-01-31T12:00:00Z".
std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"unknown host"};
  return fmt::format("process {} on {} since {:%Y-%m-%dT%H:%M:%SZ}", ::getpid(), host.data(),
                     fmt::gmtime(std::time(nullptr)));
}

std::string holder_of(int file) {
  std::array<char, 512> text{};
  const ssize_t size = uninterrupted([&] { return ::pread(file, text.data(), text.size(), 0); });
  std::string_view holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  holder = holder.substr(0, holder.find('\n'));
  return holder.empty() ? "another process" : printable(holder);
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : path_(folder / k_name) {
  // Its last holder may remove the file between our opening and locking it; then there is another one to lock.
  for (;;) {
    Descriptor file{open_file(path_, O_RDWR | O_CREAT)};
    if (file.value < 0) cannot("create", path_, errno);
    if (uninterrupted([&] { return ::flock(file.value, LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK)
        throw Error(ErrorKind::environment, fmt::format("'{}' is being written by {}; wait until it has ended",
                                                        folder.string(), holder_of(file.value)));
      announce_once("lock " + path_.string(),
                    fmt::format("'{}' cannot be locked ({}): see to it that no other process writes this run",
                                folder.string(), std::strerror(errno)));
    }
    struct stat ours = {}, there = {};
    if (::fstat(file.value, &ours) != 0 || ::stat(path_.c_str(), &there) != 0 || ours.st_ino != there.st_ino ||
        ours.st_dev != there.st_dev)
      continue;
    try {
      if (::ftruncate(file.value, 0) != 0) cannot("write", path_, errno);
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

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw Error(ErrorKind::environment, "SHA-256 is not available in this OpenSSL; install a build that has it");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace ulmus
