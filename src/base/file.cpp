#include "ulmus/base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

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
  std::ifstream stream(path, std::ios::binary);
  if (!stream || std::filesystem::is_directory(path))
    throw Error(ErrorKind::data,
                fmt::format("cannot read '{}': {}", path.string(), stream ? "it is a folder" : std::strerror(errno)));
  std::ostringstream content;
  content << stream.rdbuf();
  return std::move(content).str();
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path temporary = path.string() + fmt::format(".tmp{}", ::getpid());
  try {
    const Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (file.value < 0) cannot("create", path, errno);
    write_all(file.value, content, path);
    if (::fsync(file.value) != 0) cannot("write", path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary.c_str());
    cannot("write", path, code);
  }
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
