#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ulmus/eval/bootstrap.hpp"
#include "ulmus/eval/costs.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/score_metrics.hpp"
#include "ulmus/eval/scores.hpp"

namespace ulmus {

/// Scores and the predictions made from them.
struct Decisions {
  ScoreMatrix logs;                     ///< log probabilities [N, C]
  std::vector<std::int64_t> predicted;  ///< [N]
};

struct ComparisonOptions {
  std::optional<std::int64_t> positive = {};  ///< of two classes: the metrics of this class; unset: class 1
  std::optional<CostMatrix> costs = {};       ///< adds the mean cost
  double precision = 0.9;                     ///< of recall@precision
  std::int64_t resamples = 1000;              ///< bootstrap samples of the intervals; 0: none
  std::uint64_t seed = 0;
};

/// A metric before and after an adjustment. The three intervals are of the same bootstrap samples, so that of the
/// change is a paired one.
struct ComparedMetric {
  std::string name;      ///< "balanced_accuracy"
  std::string label;     ///< "balanced accuracy"
  bool fraction = true;  ///< shown in percent
  int better = 1;        ///< 1: higher is better, -1: lower
  Estimate before, after, change;
};

/// A bin of a reliability diagram.
struct ReliabilityBin {
  std::int64_t samples = 0;
  double confidence = 0;  ///< mean probability; 0 without samples
  double share = 0;       ///< of the samples for which it came true
};

/// A class before or after.
struct ScoredClass {
  std::int64_t support = 0;
  OperatingPoint decision;  ///< of the predictions; the threshold is 0
  bool predicted = false;   ///< a sample was given the class, so it has a precision
  RankingMetrics ranking;
  std::vector<OperatingPoint> curve;  ///< at a resolution of 0.005
};

/// One side of a comparison.
struct ScoredSide {
  std::vector<SparseCounts> confusion;  ///< [C], counts of the predicted classes for each true class
  std::vector<ScoredClass> classes;     ///< [C]
  /// 15 bins of equal width: for two classes of the probability of the class `positive`, for more of the most probable
  /// class.
  std::vector<ReliabilityBin> reliability;
};

struct ScoreComparison {
  std::int64_t samples = 0;
  std::int64_t resamples = 0;
  double precision = 0;                  ///< of recall@precision
  std::optional<std::int64_t> positive;  ///< of two classes
  std::vector<ComparedMetric> metrics;
  ScoredSide before, after;
};

/// Compares two ways to decide about the same samples `labels` [N]. Metrics of ranking (average precision, area under
/// ROC, recall at a precision) are of the class `positive` for two classes, and the macro mean for more. Intervals are
/// of a stratified bootstrap. Throws Error{data} without samples or for shapes that do not match.
ScoreComparison compare_scores(const Decisions& before, const Decisions& after, std::span<const std::int64_t> labels,
                               const ComparisonOptions& options = {});

}  // namespace ulmus
