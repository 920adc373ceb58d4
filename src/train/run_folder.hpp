#pragma once

#include <filesystem>
#include <optional>

#include "ulmus/base/file.hpp"
#include "ulmus/base/folder_lock.hpp"

namespace ulmus::detail {

/// Whether a run folder holds a checkpoint or a result. Throws Error{environment} when it cannot be read.
bool holds_trained_models(const std::filesystem::path& folder);

/// The folder of a run while this process, and no other, writes to it. A new folder is removed again when the run ends
/// before it has a checkpoint to resume from, or features.
class RunFolderLock {
 public:
  /// Creates and locks a new folder, or locks the one of the run to `resume`. Throws Error{usage} when a new run cannot
  /// be made there, Error{environment} when the folder cannot be written or another process has it.
  RunFolderLock(const std::filesystem::path& path, bool resume);
  ~RunFolderLock();
  RunFolderLock(const RunFolderLock&) = delete;
  RunFolderLock& operator=(const RunFolderLock&) = delete;

 private:
  void roll_back();
  void remove_empty_folders();

  std::filesystem::path path_;
  std::filesystem::path first_created_;  ///< the outermost folder that did not exist before
  bool is_new_;
  bool existed_ = false;
  std::optional<FolderLock> lock_;
};

}  // namespace ulmus::detail
