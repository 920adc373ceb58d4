#include "train/run_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/folder_lock.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

/// Sub-folders of a run folder with the files of its trials, and the features on which they are trained.
const std::vector<std::string> k_trial_folders = {"checkpoints", "results"};
const std::vector<std::string> k_folders = {"checkpoints", "results", "features"};

/// The files, besides config.toml, that a run writes before its first checkpoint.
const std::vector<std::string> k_first_files = {"split.json",    "columns.json", "notes.json",
                                                "metrics.jsonl", "log.txt",      "backbone.safetensors"};

/// Throws Error{environment} if the folder cannot be read.
std::vector<fs::path> list_folder(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    entries.push_back(it->path());
  if (code && code != std::errc::no_such_file_or_directory)  // removed meanwhile
    throw Error(ErrorKind::environment, fmt::format("cannot read folder '{}': {}", folder.string(), code.message()));
  return entries;
}

bool holds_only_temporaries(const fs::path& folder) {
  std::error_code unknown;
  return fs::is_directory(folder, unknown) && std::ranges::all_of(list_folder(folder), is_temporary);
}

/// Returns whether a folder contains only the remains of a run that ended before it wrote config.toml, or that was
/// partially removed, so that a new run may use it. Files that may belong to others count as ours only next to our lock
/// file.
bool is_abandoned(const fs::path& folder) {
  std::error_code unknown;
  if (fs::exists(folder / "config.toml", unknown)) return false;
  const bool ours = fs::exists(folder / FolderLock::k_name, unknown);
  for (const fs::path& entry : list_folder(folder)) {
    const std::string name = entry.filename().string();
    const bool empty_folder = std::ranges::find(k_folders, name) != k_folders.end() && holds_only_temporaries(entry);
    const bool our_file =
        ours && (name == FolderLock::k_name || std::ranges::find(k_first_files, name) != k_first_files.end());
    if (!empty_folder && !our_file && !is_temporary(entry)) return false;
  }
  return true;
}

/// Removes the files that a run writes before its first checkpoint, config.toml first: without it, the rest is not a
/// run. Keeps other files. Returns false if something could not be removed.
bool remove_first_files(const fs::path& folder) {
  std::error_code code;
  fs::remove(folder / "config.toml", code);
  if (code) return false;  // it remains a run and can be resumed
  bool all = true;
  const auto remove = [&](const fs::path& path) {
    fs::remove(path, code);
    all = all && !code;
  };
  for (const std::string& file : k_first_files) remove(folder / file);
  for (const std::string& part : k_folders) {
    remove_abandoned_temporaries(folder / part);
    remove(folder / part);
  }
  remove_abandoned_temporaries(folder);
  return all;
}

}  // namespace

void require_free_folder(const fs::path& folder) {
  std::error_code unknown;  // creating the folder reports the error
  if (fs::exists(folder / "config.toml", unknown))
    throw_usage(fmt::format("'{}' already holds a run; go on with it by {}, or choose another {}", folder.string(),
                            option_name("resume", shell_quoted(folder.string())), option_name("out")));
  if (!fs::exists(folder, unknown)) return;
  if (!fs::is_directory(folder, unknown) || !(list_folder(folder).empty() || is_abandoned(folder)))
    throw_usage(
        fmt::format("'{}' exists and is not an empty folder; choose another {}", folder.string(), option_name("out")));
}

namespace detail {

bool holds_trained_models(const fs::path& folder) {
  return !std::ranges::all_of(k_trial_folders,
                              [&](const std::string& part) { return holds_only_temporaries(folder / part); });
}

RunFolderLock::RunFolderLock(const fs::path& path, bool resume) : path_(path), is_new_(!resume) {
  std::error_code ignored;
  existed_ = fs::exists(path_, ignored);
  first_created_ = path_;
  while (first_created_.has_parent_path() && !fs::exists(first_created_.parent_path(), ignored) &&
         first_created_.parent_path() != first_created_)
    first_created_ = first_created_.parent_path();
  if (is_new_) require_free_folder(path_);
  try {
    make_folder(path_);
    lock_.emplace(path_);
  } catch (...) {
    if (is_new_) remove_empty_folders();
    throw;
  }
  bool ours = resume;
  try {
    if (is_new_) {
      require_free_folder(path_);  // another process may have created a run here before we acquired the lock
      ours = true;
      remove_first_files(path_);
    }
    for (const std::string& part : k_trial_folders) make_folder(path_ / part);
    remove_abandoned_temporaries(path_);
    for (const std::string& part : k_folders) remove_abandoned_temporaries(path_ / part);
  } catch (...) {
    if (is_new_ && ours) roll_back();
    throw;
  }
}

RunFolderLock::~RunFolderLock() {
  try {
    std::error_code unknown;
    const bool has_features = fs::exists(path_ / "features", unknown) && !holds_only_temporaries(path_ / "features");
    if (is_new_ && holds_only_temporaries(path_ / "checkpoints") && !has_features) roll_back();
  } catch (const Error&) {  // a folder that cannot be read is kept
  }
}

/// Removes what this run has written.
void RunFolderLock::roll_back() {
  if (!remove_first_files(path_)) lock_->leave();
  lock_.reset();
  remove_empty_folders();
}

/// Keeps a folder that existed before, and one that contains files of others.
void RunFolderLock::remove_empty_folders() {
  std::error_code ignored;
  if (existed_) return;
  for (fs::path folder = path_;; folder = folder.parent_path()) {
    fs::remove(folder, ignored);
    if (folder == first_created_ || !folder.has_parent_path()) return;
  }
}

}  // namespace detail
}  // namespace ulmus
