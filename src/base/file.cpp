#include "ulmus/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

constexpr std::size_t k_write_size = std::size_t{1} << 20;

[[noreturn]] void cannot(const char* action, const std::filesystem::path& path, int code) {
  throw Error(ErrorKind::environment, fmt::format("cannot {} '{}': {}; free space or choose another --out", action,
                                                  path.string(), std::strerror(code)));
}

/// A file descriptor that closes itself.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void write_all(int file, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) cannot("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const auto refuse = [&](const char* why) {
    throw Error(ErrorKind::data, fmt::format("cannot read '{}': {}", path.string(), why));
  };
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status = {};
  if (file.value < 0 || ::fstat(file.value, &status) != 0) refuse(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) refuse("it is a folder");
  // One byte more than the file has, so that its end is seen without growing. What has no size, as a pipe, grows.
  std::string content(static_cast<std::size_t>(status.st_size) + 1, '\0');
  for (std::size_t size = 0;;) {
    if (size == content.size()) content.resize(2 * size + k_write_size);
    const ssize_t came = ::read(file.value, content.data() + size, content.size() - size);
    if (came < 0 && errno == EINTR) continue;
    if (came < 0) refuse(std::strerror(errno));
    size += static_cast<std::size_t>(came);
    if (came == 0) {
      content.resize(size);
      return content;
    }
  }
}

WholeFile::WholeFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + fmt::format(".tmp{}", ::getpid())) {
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) cannot("create", path_, errno);
}

WholeFile::~WholeFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
}

void WholeFile::write(std::string_view content) {
  waiting_ += content;
  if (waiting_.size() >= k_write_size) flush();
}

void WholeFile::flush() {
  write_all(file_, waiting_, path_);
  waiting_.clear();
}

const std::filesystem::path& WholeFile::temporary() {
  flush();
  return temporary_;
}

void WholeFile::commit() {
  flush();
  if (::fsync(file_) != 0) cannot("write", path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) cannot("write", path_, errno);
  ::close(std::exchange(file_, -1));
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  WholeFile file(path);
  file.write(content);
  file.commit();
}

void append_line(const std::filesystem::path& path, std::string_view line) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)};
  if (file.value < 0) cannot("open", path, errno);
  write_all(file.value, std::string(line) + "\n", path);
}

void make_folder(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code || !std::filesystem::is_directory(path)) cannot("create folder", path, code ? code.value() : ENOTDIR);
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
