#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "train/checkpointed_model.hpp"
#include "train/placement.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/eval/posthoc.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus::detail {

/// Adjusts the outputs of a run's models.
class ScoreAdjuster {
 public:
  /// Opens the run's data if a temperature must be fitted. Throws Error{usage} for an adjustment that cannot apply.
  ScoreAdjuster(const std::filesystem::path& folder, const RunOptions& options, const AdjustmentOptions& adjustment,
                Split split, const std::optional<std::string>& encoding);

  struct Fit {
    ScoreTransform transform;
    std::vector<double> assumed_prior;  ///< empty without a test prior
  };
  /// Fits the adjustment for one of the models; for tau-norm changes the head of `model`.
  Fit fit(const CheckpointedModel& trained, Classifier& model) const;

  const std::vector<double>& prior() const { return prior_; }
  bool has_temperature() const { return fit_temperature_ || temperature_; }
  bool fits_temperature() const { return fit_temperature_; }

 private:
  Split split_;
  ClassCounts counts_;
  PostHoc posthoc_;
  std::vector<double> prior_;
  std::optional<double> temperature_;
  bool fit_temperature_ = false;
  int loader_threads_;
  Placement placement_;
  OpenedData data_;  ///< opened only if a temperature is fitted
};

}  // namespace ulmus::detail
