#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "ulmus/train/plan.hpp"

namespace ulmus {

/// The command line that reproduces this run: `command` and the options that differ from their defaults, quoted for a
/// shell.
std::string command_text(const std::string& command, const RunOptions& options);

/// Throws Error{usage} if a new run cannot be created in `folder`: it contains a run, is not empty or is not a folder.
void require_free_folder(const std::filesystem::path& folder);

/// Progress of one trial and of the whole run.
struct Progress {
  const Trial* trial = nullptr;
  std::size_t trials_done = 0;
  std::size_t trials = 0;
  std::int64_t epoch = 0;  ///< 0-based
  std::int64_t epochs = 0;
  std::int64_t step = 0;  ///< completed steps of the epoch
  std::int64_t steps = 0;
  double train_loss = 0;    ///< mean over the epoch so far
  bool epoch_done = false;  ///< if true, `balanced_accuracy` is that of the test part
  double balanced_accuracy = 0;
  double fraction = 0;  ///< of the whole run
  double elapsed_seconds = 0;
  double remaining_seconds = 0;
};

/// Progress of computing the features of a frozen backbone.
struct FeatureProgress {
  std::int64_t done = 0;     ///< samples computed by this call
  std::int64_t samples = 0;  ///< samples to compute
  double samples_per_second = 0;
  double elapsed_seconds = 0;
  double remaining_seconds = 0;
};

struct RunHooks {
  std::function<void(const Progress&)> progress;         ///< called after every step and every epoch
  std::function<void(const FeatureProgress&)> features;  ///< called after every batch of features
  std::function<bool()> stop;  ///< called before every step; returning true stops the run with Error{interrupted}
};

/// Trains the trials of a plan in `folder`: config.toml, split.json, columns.json (for a table), notes.json (all_notes
/// of the data), metrics.jsonl, checkpoints/, results/, features/, backbone.safetensors (one that stays frozen, which
/// the checkpoints then leave out). A checkpoint is written after every epoch (for a
/// head on features: at least every half a minute), and a result at the end of each trial.
///
/// Only one process at a time may do so (FolderLock). The folder is a run once it contains config.toml, which is
/// written after split.json; if the process ends before that, the same call can be repeated.
///
/// Throws Error{usage} for a folder that already contains a run, unless `resume` is set: then finished trials are kept
/// and the others continue from their last checkpoint, on the CPU with bit-identical results. Resuming needs the same
/// data: the split must be the same. Throws Error{numerical} naming the step if the loss is not finite,
/// Error{environment} for a full or read-only disk (a folder created by this call that has no checkpoint yet is
/// removed), and Error{interrupted}.
void execute(const Plan& plan, const std::filesystem::path& folder, const std::string& command,
             const RunHooks& hooks = {}, bool resume = false);

}  // namespace ulmus
