#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace ulmus {

/// Reads a regular file. Throws Error{data} naming the path if the file does not exist, is a folder, pipe or device
/// (which may never end), or has more than `limit` bytes. Throws Error{environment} if it cannot be read: no
/// permission, a disk error, too many open files, or not enough memory.
std::string read_file(const std::filesystem::path& path, std::size_t limit = static_cast<std::size_t>(-1));

/// Writes a file atomically: temporary name in the same folder, fsync, rename, fsync of the folder. Readers see either
/// the old or the new content, never a part. Throws Error{environment} naming the path and the reason (disk full,
/// read-only, no permission).
void write_file(const std::filesystem::path& path, std::string_view content);

/// Writes a file atomically in pieces, for content that is too large for memory or must be checked before it becomes
/// visible. The pieces go to a temporary file in the same folder, `<path>.tmp<process>`. commit() renames it to `path`;
/// without a commit the destructor removes it.
class AtomicFile {
 public:
  /// Throws Error{environment}, as write() and commit() do.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view content);
  /// Path of the temporary file, which contains everything written so far.
  const std::filesystem::path& temporary();
  void commit();

 private:
  void flush();

  std::filesystem::path path_, temporary_;
  std::string buffer_;
  int file_ = -1;
};

/// Removes the temporary files of this process, for a program that ends without running destructors.
void remove_open_temporaries() noexcept;

/// Returns whether `path` is the name of a temporary file of AtomicFile.
bool is_temporary(const std::filesystem::path& path);

/// Removes temporary files in `folder` whose process no longer exists.
void remove_abandoned_temporaries(const std::filesystem::path& folder);

/// Appends one line and waits until it is on disk. Throws Error{environment}; the file may then end with a partial
/// line.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Creates a folder and its parents. Throws Error{environment}.
void make_folder(const std::filesystem::path& path);

}  // namespace ulmus
