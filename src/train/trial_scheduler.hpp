#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "train/trainer.hpp"
#include "train/trial_paths.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus::detail {

/// Trains the trials of a plan that have no result yet, several concurrently.
class TrialScheduler {
 public:
  /// Keeps references to all of them.
  TrialScheduler(const Plan& plan, const std::filesystem::path& folder, const RunHooks& hooks,
                 const FrozenBackbone& frozen);

  /// Returns once every trial has a result. After the first error no further trial starts, running trials stop at their
  /// next step, and the error is rethrown.
  void run();

 private:
  void train_waiting();
  void report(std::size_t trial, Progress& progress);
  void log(const std::string& text) const;

  using Clock = std::chrono::steady_clock;

  const Plan& plan_;
  const std::filesystem::path& folder_;
  const RunHooks& hooks_;
  const FrozenBackbone& frozen_;
  Clock::time_point start_ = Clock::now();
  std::vector<TrialPaths> paths_;     ///< one per trial
  std::vector<std::size_t> waiting_;  ///< trials without a result at the start
  std::atomic<bool> failed_ = false;

  std::mutex mutex_;  // guards the members below
  std::size_t next_ = 0;
  std::size_t trials_done_ = 0;
  std::vector<double> epochs_done_;  ///< per trial
  std::optional<double> fraction_at_start_;
  std::exception_ptr error_;
};

}  // namespace ulmus::detail
