#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "ulmus/train/plan.hpp"

namespace ulmus {

/// The command that makes this run: `command` and the options that differ from their defaults, quoted for a shell.
std::string command_text(const std::string& command, const RunOptions& options);

/// Throws Error{usage} when a new run cannot be made in `folder`: it holds a run, is not empty or is no folder.
void require_free_folder(const std::filesystem::path& folder);

/// The progress of one trial and of the whole run.
struct Progress {
  const Trial* trial = nullptr;
  std::size_t trials_done = 0;
  std::size_t trials = 0;
  std::int64_t epoch = 0;  ///< 0-based
  std::int64_t epochs = 0;
  std::int64_t step = 0;  ///< finished steps of the epoch
  std::int64_t steps = 0;
  double train_loss = 0;    ///< mean of the epoch so far
  bool epoch_done = false;  ///< then `balanced_accuracy` is that of the test part
  double balanced_accuracy = 0;
  double fraction = 0;  ///< of the whole run
  double elapsed_seconds = 0;
  double remaining_seconds = 0;
};

/// The progress of computing the features of a frozen backbone.
struct FeatureProgress {
  std::int64_t done = 0;     ///< samples that this call has computed
  std::int64_t samples = 0;  ///< samples that it has to compute
  double samples_per_second = 0;
  double elapsed_seconds = 0;
  double remaining_seconds = 0;
};

struct RunHooks {
  std::function<void(const Progress&)> progress;         ///< called after every step and every epoch
  std::function<void(const FeatureProgress&)> features;  ///< called after every batch of features
  std::function<bool()> stop;  ///< asked before every step; true ends the run with Error{interrupted}
};

/// Trains the trials of a plan in `folder`: config.toml, split.json, columns.json (of a table), notes.json (all_notes
/// of the data), metrics.jsonl, checkpoints/, results/, features/. A checkpoint is written after every epoch (of a head
/// on features: at least every half a minute), a result when a trial has finished.
///
/// Only one process at a time may do so (FolderLock). The folder is a run once config.toml is there, which is written
/// after split.json; whatever ends the process before that, the same call may be made again.
///
/// A folder that already holds a run is refused (Error{usage}) unless `resume`: then finished trials are left alone
/// and the others go on from their last checkpoint, on the CPU to the same result bit for bit. Resuming needs the same
/// data: the split must come out the same. Throws Error{numerical} naming the step when the loss is not finite,
/// Error{environment} for a full or read-only disk (a folder made by this call and still without a checkpoint is
/// removed), Error{interrupted}.
void execute(const Plan& plan, const std::filesystem::path& folder, const std::string& command,
             const RunHooks& hooks = {}, bool resume = false);

}  // namespace ulmus
