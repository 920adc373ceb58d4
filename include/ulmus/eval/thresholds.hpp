#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/eval/costs.hpp"
#include "ulmus/eval/scores.hpp"

namespace ulmus {

/// The metric of the predictions that thresholds maximise.
struct ThresholdMetric {
  enum class Kind {
    f1,                   ///< of the class `positive`; without one, the macro mean over the classes with samples
    mcc,                  ///< Matthews correlation
    balanced,             ///< mean recall
    cost,                 ///< the least mean cost
    recall_at_precision,  ///< the largest recall of the class `positive` with at least this precision
  };
  Kind kind = Kind::balanced;
  double precision = 0;  ///< of recall_at_precision, above 0 and at most 1

  /// Parses "f1", "mcc", "balanced", "cost" or "recall@precision=0.9". Throws Error{usage} with the nearest name.
  static ThresholdMetric parse(std::string_view text);
  std::string text() const;
  /// True if the metric is of the class `positive`, or may be.
  bool takes_positive() const { return kind == Kind::f1 || kind == Kind::recall_at_precision; }
};

struct ThresholdOptions {
  std::optional<CostMatrix> costs = {};       ///< for `cost`
  std::optional<std::int64_t> positive = {};  ///< for f1 and recall_at_precision; unset: class 1 of two
  std::vector<std::string> class_names = {};  ///< for messages; empty: their numbers
};

/// Predictions argmax over j of log p[j] + offsets[j].
struct Thresholds {
  std::vector<double> offsets;                 ///< [C], of mean 0
  std::optional<ThresholdMetric> metric = {};  ///< that they were fitted by
  double value = 0;                            ///< of the metric on the samples of the fit

  /// For two classes: class 1 is predicted where its probability is above the threshold, which is in (0, 1). Throws
  /// Error{usage} for another number.
  static Thresholds of_two(double threshold);
  /// For two classes. Throws Error{usage} for more.
  double threshold() const;
};

/// Fits offsets of log probabilities [N, C] by a metric of the predictions, on samples that the model was not trained
/// on. For two classes this is a threshold, and the best of all. For more it is coordinate ascent from offsets of 0 and
/// from those that predict every class equally often: each step moves one offset to its best value, and of equally good
/// ones to the nearest, until a sweep over the classes changes nothing (at most 50 sweeps).
///
/// A step sorts the samples by the offset at which they become of the class, and adds up what each changes; the best
/// two classes of every sample are kept, so a sweep takes time for C N log N operations.
///
/// Throws Error{data} for no samples, shapes that do not match, labels out of range, a class `positive` without
/// samples, and a precision that no threshold has; Error{usage} for a `positive` that the metric does not take or that
/// is missing, and for `cost` without costs.
Thresholds fit_thresholds(const ScoreMatrix& logs, std::span<const std::int64_t> labels, const ThresholdMetric& metric,
                          const ThresholdOptions& options = {});

}  // namespace ulmus
