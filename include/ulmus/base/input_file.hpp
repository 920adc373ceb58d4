#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace ulmus::detail {

/// A regular file open for reading. All reads see the same file, even if another process replaces it meanwhile. Any
/// thread may read.
class InputFile {
 public:
  /// Throws Error as read_file() does.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Size in bytes when the file was opened.
  std::size_t size() const { return size_; }
  /// Fills `out` with bytes from position `begin` and returns their number, which is less than requested at the end of
  /// the file. Throws Error as read_file() does.
  std::size_t read(std::size_t begin, std::span<char> out) const;
  /// Lets the operating system fetch these bytes from the disk in the background, so that a later read does not wait.
  void will_read(std::size_t begin, std::size_t size) const;

 private:
  std::filesystem::path path_;
  std::size_t size_ = 0;
  int file_ = -1;
};

}  // namespace ulmus::detail
