#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/scores.hpp"

namespace ulmus {

/// What predicting a class from a score on would give; rates are fractions of the samples.
struct OperatingPoint {
  double threshold = 0;            ///< the class is predicted where its score is at least this
  double precision = 0;            ///< 0 if the class is never predicted
  double recall = 0;               ///< 0 for a class without samples
  double false_positive_rate = 0;  ///< 0 if there are no samples of other classes
};

/// How well scores rank a class above the others; what does not exist is absent.
struct RankingMetrics {
  /// The sum of (R[k] - R[k-1]) P[k] over the distinct scores, highest first. A random score has the share of the
  /// class. Absent for a class without samples.
  std::optional<double> average_precision;
  /// Area under the ROC curve: the chance that a sample of the class has a higher score than one of another class; a
  /// tie counts half. Absent without samples of the class or without samples of others.
  std::optional<double> area_under_roc;
  /// The largest recall at a threshold with at least the given precision; 0 if no threshold has it. Absent for a class
  /// without samples.
  std::optional<double> recall_at_precision;
};

/// A class against the others: samples in falling order of the score of the class. The metrics are scikit-learn's, of
/// one class against the rest.
class RankedScores {
 public:
  /// `scores` [N, C], `labels` [N], each in [0, C).
  RankedScores(const ScoreMatrix& scores, std::span<const std::int64_t> labels, std::int64_t of_class);

  /// `precision` is that of recall_at_precision. `weights` [N] count samples several times, or not; without them each
  /// counts once.
  RankingMetrics metrics(double precision, std::span<const double> weights = {}) const;

  /// Precision and recall where the score is at least `threshold`.
  OperatingPoint at(double threshold) const;

  /// A point for each distinct score, highest first: the precision-recall and the ROC curve. A point whose rates differ
  /// from the last one by less than `resolution` is left out, except for the last.
  std::vector<OperatingPoint> curve(double resolution = 0) const;

 private:
  template <class Visit>
  void visit(std::span<const double> weights, Visit at_threshold) const;
  std::pair<double, double> totals() const;

  std::vector<std::uint32_t> order_;    ///< [N], samples in falling order of their score
  std::vector<double> ranked_;          ///< [N], the scores in this order
  std::vector<std::uint8_t> is_class_;  ///< [N], in this order
};

/// Mean of the values that exist; absent if none does.
std::optional<double> macro_mean(std::span<const std::optional<double>> values);

/// Mean squared error of probabilities: mean over samples of sum over j of (p[j] - [y = j])^2, half of it for two
/// classes, where it is then that of one class (scikit-learn's scale_by_half="auto").
double brier_score(const ScoreMatrix& probabilities, std::span<const std::int64_t> labels);

/// Matthews correlation of labels and predictions, -1 to 1, for any number of classes (Gorodkin, 2004), of a confusion
/// matrix [true][predicted]; 0 where the labels, or the predictions, are all of one class.
double matthews_correlation(std::span<const SparseCounts> confusion);

/// The same from sums over the samples: right predictions, sum over j of support[j] predicted[j], of support[j]^2 and
/// of predicted[j]^2.
double matthews_correlation(double samples, double hits, double both, double support2, double predicted2);

}  // namespace ulmus
