#include "train/trial_scheduler.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <numeric>

#include "train/gallery.hpp"
#include "train/torch_threads.hpp"
#include "train/trainer.hpp"
#include "train/tree_trainer.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/threads.hpp"
#include "ulmus/trees/tree_options.hpp"

namespace ulmus::detail {

TrialScheduler::TrialScheduler(const Plan& plan, const std::filesystem::path& folder, const RunHooks& hooks,
                               const FrozenBackbone& frozen)
    : plan_(plan),
      folder_(folder),
      hooks_(hooks),
      frozen_(frozen),
      paths_(trial_paths(folder, plan.trials)),
      epochs_done_(plan.trials.size(), 0.0) {
  for (std::size_t i = 0; i < plan.trials.size(); ++i)
    if (std::filesystem::exists(paths_[i].result))
      epochs_done_[i] = static_cast<double>(plan.all_epochs());
    else
      waiting_.push_back(i);
  trials_done_ = plan.trials.size() - waiting_.size();
}

void TrialScheduler::run() {
  log(fmt::format("{} of {} trials to train", waiting_.size(), plan_.trials.size()));
  const std::size_t jobs = std::min(waiting_.size(), static_cast<std::size_t>(plan_.jobs()));
  run_on_threads(jobs, [this] { train_waiting(); });
  if (error_) {
    try {
      std::rethrow_exception(error_);
    } catch (const std::exception& error) {
      try {
        log(fmt::format("stopped: {}", error.what()));
      } catch (const Error&) {  // a full disk; the original error is thrown instead
      }
      throw;
    }
  }
  write_gallery(plan_, folder_, paths_);
  log("finished");
}

void TrialScheduler::train_waiting() {
  set_torch_threads(plan_.threads());  // LibTorch stores the number per thread
  for (;;) {
    std::size_t i;
    {
      const std::lock_guard lock(mutex_);
      if (next_ == waiting_.size() || error_) return;
      i = waiting_[next_++];
    }
    try {
      const auto progress = [&](Progress& of_trial) { report(i, of_trial); };
      const auto stop = [this] { return failed_ || (hooks_.stop && hooks_.stop()); };
      if (is_tree_model(plan_.options.model))
        train_trees(plan_, plan_.trials[i], paths_[i], progress, stop);
      else
        train_trial(plan_, plan_.trials[i], paths_[i], progress, stop, frozen_);
      const std::lock_guard lock(mutex_);
      epochs_done_[i] = static_cast<double>(plan_.epochs());  // trees may stop early
      ++trials_done_;
      log(fmt::format("{} finished", paths_[i].slug));
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
    }
  }
}

/// Adds the progress of the whole run to that of a trial and passes both on.
void TrialScheduler::report(std::size_t trial, Progress& progress) {
  const std::lock_guard lock(mutex_);
  epochs_done_[trial] =
      static_cast<double>(progress.epoch) + static_cast<double>(progress.step) / static_cast<double>(progress.steps);
  if (!hooks_.progress) return;
  const double total = static_cast<double>(plan_.trials.size()) * static_cast<double>(plan_.all_epochs());
  progress.trial = &plan_.trials[trial];
  progress.trials_done = trials_done_;
  progress.trials = plan_.trials.size();
  progress.fraction = std::accumulate(epochs_done_.begin(), epochs_done_.end(), 0.0) / total;
  progress.elapsed_seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (!fraction_at_start_) fraction_at_start_ = progress.fraction - 1 / (total * static_cast<double>(progress.steps));
  progress.remaining_seconds =
      progress.elapsed_seconds * (1 - progress.fraction) / (progress.fraction - *fraction_at_start_);
  hooks_.progress(progress);
}

void TrialScheduler::log(const std::string& text) const {
  append_line(folder_ / "log.txt", fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}", fmt::gmtime(std::time(nullptr)), text));
}

}  // namespace ulmus::detail
