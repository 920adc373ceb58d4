#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace ulmus {

/// The bytes of a file; throws Error{data} naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Writes a file whole: temporary name in the same folder, fsync, rename. Readers see the old content or the new one,
/// never a part. Throws Error{environment} naming the path and the reason (disk full, read-only, no permission).
void write_file(const std::filesystem::path& path, std::string_view content);

/// The same for what is too large to be held, or must be looked at before it is shown: pieces go to a temporary file in
/// the same folder, which takes the place of `path` when it is committed, and is removed otherwise.
class WholeFile {
 public:
  /// Throws Error{environment}, as write() and commit() do.
  explicit WholeFile(std::filesystem::path path);
  ~WholeFile();
  WholeFile(const WholeFile&) = delete;
  WholeFile& operator=(const WholeFile&) = delete;

  void write(std::string_view content);
  /// The temporary file, with everything that was written so far.
  const std::filesystem::path& temporary();
  void commit();

 private:
  void flush();

  std::filesystem::path path_, temporary_;
  std::string waiting_;
  int file_ = -1;
};

/// Appends one line and flushes it to the operating system. Throws Error{environment}.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Creates a folder and its parents. Throws Error{environment}.
void make_folder(const std::filesystem::path& path);

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

}  // namespace ulmus
