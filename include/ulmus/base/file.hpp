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

/// Writes a file whole: temporary name in the same folder, fsync, rename, fsync of the folder. Readers see the old
/// content or the new one, never a part. Throws Error{environment} naming the path and the reason (disk full,
/// read-only, no permission).
void write_file(const std::filesystem::path& path, std::string_view content);

/// The same for what is too large to be held, or must be looked at before it is shown: pieces go to a temporary file in
/// the same folder, `<path>.tmp<process>`, which takes the place of `path` when it is committed, and is removed
/// otherwise.
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

/// Removes the temporary files of this process, for a program that ends without running destructors.
void remove_open_temporaries() noexcept;

/// Whether this is the name of a temporary file of WholeFile.
bool is_temporary(const std::filesystem::path& path);

/// Removes the temporary files in a folder whose process is gone.
void remove_abandoned_temporaries(const std::filesystem::path& folder);

/// Appends one line and waits until it is on the disk. Throws Error{environment}; then the beginning of the line may be
/// there.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Creates a folder and its parents. Throws Error{environment}.
void make_folder(const std::filesystem::path& path);

/// Holds a folder for one writing process: an flock on the file `lock` in it, which says who holds it. The system gives
/// the lock back when the process ends, however it ends; the destructor removes the file.
class FolderLock {
 public:
  static constexpr const char* k_name = "lock";

  /// Throws Error{environment} naming the holder's process, host and start when another process has the folder, or when
  /// the file cannot be made. Where the file system knows no locks this is said on standard error, and nothing is held.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Leaves the file when the lock is given back.
  void leave() { leave_ = true; }

 private:
  std::filesystem::path path_;
  bool leave_ = false;
  int file_ = -1;
};

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

}  // namespace ulmus
