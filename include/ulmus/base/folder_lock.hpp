#pragma once

#include <filesystem>

namespace ulmus {

/// Locks a folder for one writing process with an flock on its file `lock`, which names the holder. The system releases
/// the lock when the process ends for any reason; the destructor removes the file.
class FolderLock {
 public:
  static constexpr const char* k_name = "lock";

  /// Throws Error{environment} if another process holds the lock, naming its process, host and start time, or if the
  /// lock file cannot be created. If the file system does not support locks, logs a warning and locks nothing.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Keeps the lock file when the lock is released.
  void leave() { leave_ = true; }

 private:
  std::filesystem::path path_;
  bool leave_ = false;
  int file_ = -1;
};

}  // namespace ulmus
