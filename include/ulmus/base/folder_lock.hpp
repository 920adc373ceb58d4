#pragma once

#include <filesystem>

namespace ulmus {

/// Locks a folder for one writing process by an flock on its file `lock`, which names the holder. The system releases
/// the lock when the process ends, however it ends; the destructor removes the file.
class FolderLock {
 public:
  static constexpr const char* k_name = "lock";

  /// Throws Error{environment} naming the holder's process, host and start when another process has the folder, or when
  /// the file cannot be made. Where the file system has no locks, a warning is logged and nothing is locked.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Keeps the file when the lock is released.
  void leave() { leave_ = true; }

 private:
  std::filesystem::path path_;
  bool leave_ = false;
  int file_ = -1;
};

}  // namespace ulmus
