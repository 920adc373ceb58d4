#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace ulmus {

/// The bytes of a regular file. Throws Error{data} naming the path when there is no such file, when it is a folder, a
/// pipe or a device (which may never end), or has more than `limit` bytes; Error{environment} when the machine cannot
/// read it: no permission, an error of the disk, too many open files, more bytes than the machine has memory.
std::string read_file(const std::filesystem::path& path, std::size_t limit = static_cast<std::size_t>(-1));

/// Writes a file atomically: temporary name in the same folder, fsync, rename, fsync of the folder. Readers see the old
/// content or the new content, never a part. Throws Error{environment} naming the path and the reason (disk full,
/// read-only, no permission).
void write_file(const std::filesystem::path& path, std::string_view content);

/// Writes a file atomically in pieces, for content that is too large for memory or must be checked before readers see
/// it. The pieces go to a temporary file in the same folder, `<path>.tmp<process>`. commit() renames it to `path`;
/// without a commit the destructor removes it.
class AtomicFile {
 public:
  /// Throws Error{environment}, as write() and commit() do.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view content);
  /// Path of the temporary file, which holds everything written so far.
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

/// Whether this is the name of a temporary file of AtomicFile.
bool is_temporary(const std::filesystem::path& path);

/// Removes the temporary files in a folder whose process is gone.
void remove_abandoned_temporaries(const std::filesystem::path& folder);

/// Appends one line and waits until it is on disk. Throws Error{environment}; the file may then end with the beginning
/// of the line.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Creates a folder and its parents. Throws Error{environment}.
void make_folder(const std::filesystem::path& path);

}  // namespace ulmus
