#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ulmus/data/dataset.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/train/options.hpp"
#include "ulmus/train/schedule.hpp"

namespace ulmus {

/// One training of a run: a loss with a seed.
struct RunMember {
  LossSpec loss;
  std::int64_t order;  ///< position of the loss in the list
  Head head;
  Sampler sampler;
  std::uint64_t seed;
  std::int64_t parameters;  ///< of the model

  std::string slug() const;  ///< slug_of its loss
};

/// The name of a member as the stem of its files, "elm-lambda-0.5-drw.seed0". Different members have different stems of
/// at most 150 bytes: a name that is long, or that this way of writing could confuse with another (paths, exponents),
/// is cut off and followed by a hash.
std::string slug_of(const std::string& name, std::uint64_t seed);

/// A run, checked whole before anything is trained or written: data opened, split made, every loss matched with a head
/// and a model.
struct Plan {
  RunOptions options;  ///< with every default resolved, except `head`
  OpenedData data;
  Split split;
  ClassCounts counts;  ///< of the training part
  Normalisation normalisation;
  Augmentation augmentation;
  std::string encoding;                ///< of a table, as JSON; empty for other data
  std::vector<ColumnSummary> columns;  ///< of a table
  LearningRateSchedule schedule;
  std::vector<RunMember> members;  ///< seed by seed, each with every loss in the order of the list
};

/// `classes` are those of a run that is resumed, in its order. Throws Error{usage} or Error{data} for everything that
/// can be known before the first step.
Plan plan_run(const RunOptions& options, const std::vector<std::string>& classes = {});

/// The command that makes this run: `verb` and the options that differ from their defaults, quoted for a shell.
std::string command_text(const std::string& verb, const RunOptions& options);

/// Throws Error{usage} when a new run cannot be made in `folder`: it holds a run, is not empty or is no folder.
void require_free(const std::filesystem::path& folder);

/// What a run tells while it goes on: news of one member, and how far the whole run is.
struct Progress {
  const RunMember* member = nullptr;
  std::size_t members_done = 0;
  std::size_t members = 0;
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

struct RunHooks {
  std::function<void(const Progress&)> progress;  ///< called after every step and every epoch
  std::function<bool()> stop;  ///< asked before every step; true ends the run with Error{interrupted}
};

/// Trains the members of a plan in `folder`: config.toml, split.json, columns.json (of a table), notes.json (all_notes
/// of the data), metrics.jsonl, checkpoints/, results/. A checkpoint is written after every epoch, a result when a
/// member has finished.
///
/// Only one process at a time may do so (FolderLock). The folder is a run once config.toml is there, which is written
/// after split.json; whatever ends the process before that, the same call may be made again.
///
/// A folder that already holds a run is refused (Error{usage}) unless `resume`: then finished members are left alone
/// and the others go on from their last checkpoint, on the CPU to the same result bit for bit. Resuming needs the same
/// data: the split must come out the same. Throws Error{numerical} naming the step when the loss is not finite,
/// Error{environment} for a full or read-only disk (a folder made by this call and still without a checkpoint is
/// removed), Error{interrupted}.
void execute(const Plan& plan, const std::filesystem::path& folder, const std::string& verb, const RunHooks& hooks = {},
             bool resume = false);

}  // namespace ulmus
