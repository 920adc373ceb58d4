#pragma once

#include <filesystem>
#include <optional>

#include "ulmus/base/file.hpp"
#include "ulmus/base/folder_lock.hpp"

namespace ulmus::detail {

/// Returns whether a run folder contains a checkpoint or a result. Throws Error{environment} if it cannot be read.
bool holds_trained_models(const std::filesystem::path& folder);

/// Exclusive write access of this process to the folder of a run. A new folder is removed if the run ends before it has
/// features, or a checkpoint from which it can be resumed.
class RunFolderLock {
 public:
  /// Creates and locks a new folder, or locks the one of the run to `resume`. Throws Error{usage} if a new run cannot
  /// be created there, and Error{environment} if the folder cannot be written or is locked by another process.
  RunFolderLock(const std::filesystem::path& path, bool resume);
  ~RunFolderLock();
  RunFolderLock(const RunFolderLock&) = delete;
  RunFolderLock& operator=(const RunFolderLock&) = delete;

 private:
  void roll_back();
  void remove_empty_folders();

  std::filesystem::path path_;
  std::filesystem::path first_created_;  ///< the outermost folder that was created
  bool is_new_;
  bool existed_ = false;
  std::optional<FolderLock> lock_;
};

}  // namespace ulmus::detail
