#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "train/trial_paths.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus::detail {

/// Called after every step and every epoch of a trial with its epoch, step and losses.
using TrialProgress = std::function<void(Progress&)>;

/// The data of a run as features of its frozen backbone.
struct FrozenData {
  Dataset train;
  std::optional<Dataset> test;
  std::vector<Dataset> views = {};  ///< the training images, augmented; none without the option `views`
};

/// What the trials of a run with a frozen backbone share; empty for other runs.
struct FrozenBackbone {
  /// SHA-256 of the backbone in the run folder (backbone_file.hpp); none with `unfreeze`, which trains it later.
  std::optional<std::string> sha256;
  std::optional<FrozenData> features;  ///< if heads are trained on them
};

/// Passes `update` on if `progress` is set. `test` is the evaluation of an epoch that is done, otherwise null.
void report_progress(const TrialProgress& progress, Progress update, const Evaluation* test);

/// Trains a trial to the end, from its checkpoint or from the start, and writes its result.
void train_trial(const Plan& plan, const Trial& trial, const TrialPaths& paths, const TrialProgress& progress,
                 const std::function<bool()>& stop, const FrozenBackbone& frozen);

/// The loss at the start of training: an `auto` key has the middle one of its candidate values.
LossSpec initial_loss(const LossSpec& loss);

}  // namespace ulmus::detail
