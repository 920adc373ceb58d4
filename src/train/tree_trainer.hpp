#pragma once

#include <functional>

#include "train/trainer.hpp"

namespace ulmus::detail {

/// Grows the trees of a trial to the end, from its checkpoint or from the start, and writes its result; the counterpart
/// of train_trial. An epoch is a round. With a validation part, the rounds up to the one with the best balanced
/// accuracy there are kept (among equals the smallest negative log-likelihood), and growing stops when `patience`
/// rounds have not been better; a loss with a deferred rule is judged from where the rule begins.
///
/// A checkpoint is written every 50 rounds, every 30 seconds, and when the run is stopped. Where columns are drawn
/// (colsample), an unfinished trial begins anew, as Booster says.
void train_trees(const Plan& plan, const Trial& trial, const TrialPaths& paths, const TrialProgress& progress,
                 const std::function<bool()>& stop);

}  // namespace ulmus::detail
