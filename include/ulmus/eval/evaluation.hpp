#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "ulmus/base/json_fwd.hpp"
#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/view.hpp"

namespace ulmus {

/// Number of occurrences per index; a missing index occurred zero times. A confusion matrix of 100,000 classes fits
/// into memory, because it stores only the pairs that occurred. In JSON pairs [index, count], ascending.
using SparseCounts = std::map<std::int64_t, std::int64_t>;

/// The distribution of the margin z[y] - max over j != y of z[j] over the samples of one class, in units of the head's
/// output (cosine for a cosine head, logit for a linear one).
struct MarginDistribution {
  double mean = 0;                ///< 0 without support
  std::vector<double> quantiles;  ///< at 5, 25, 50, 75, 95 %, linearly interpolated; empty without support
  SparseCounts histogram;         ///< counts per bin, with the common edges of the Evaluation
};

struct ClassResult {
  std::int64_t train_count = 0;
  std::int64_t support = 0;         ///< samples of the class in the evaluated set
  std::optional<double> precision;  ///< absent if the class was never predicted
  std::optional<double> recall;     ///< absent without support
  std::optional<double> f1;         ///< absent without support
  /// Of the probability of the class against the other classes (RankedScores); absent as described at Evaluation.
  std::optional<double> average_precision, roc_auc;
  MarginDistribution margin;
};

/// The metrics of a model on one set. Averages over classes exclude classes without support; a group without classes is
/// absent.
struct Evaluation {
  std::int64_t samples = 0;
  double top1 = 0;
  double top5 = 0;
  double balanced_accuracy = 0;  ///< mean recall over the classes
  double macro_f1 = 0;           ///< a class with support that is never predicted counts as 0
  double geometric_mean = 0;     ///< of the recalls; 0 if one is 0
  double worst_class = 0;        ///< smallest recall
  std::int64_t worst_class_index = 0;
  std::optional<double> many_shot, medium_shot, few_shot;  ///< mean recall of the group
  ShotThresholds thresholds;                               ///< the thresholds of the groups
  double ece = 0;  ///< expected calibration error, 15 equal-width bins (lower, upper] of the top probability
  double nll = 0;  ///< mean negative log-likelihood, nats
  /// Matthews correlation and Brier score (score_metrics.hpp); absent in files of versions before 0.2.
  std::optional<double> mcc, brier;
  /// For two classes of the one with fewer training samples (the second on a tie), for more the macro mean; absent for
  /// more without EvaluationOptions::ranking, and in files of versions before 0.2.
  std::optional<double> average_precision, roc_auc;
  std::vector<SparseCounts> confusion;  ///< [C], counts of the predicted classes for each true class
  std::vector<ClassResult> classes;     ///< [C]
  std::vector<double> margin_edges;     ///< histogram edges, ascending; see evaluate()
};

struct EvaluationOptions {
  double scale = 1;  ///< probabilities are softmax(scale * logits)
  ShotThresholds thresholds = {};
  std::int64_t margin_bins = 128;  ///< even, at least 2
  /// Computes the metrics of ranking for more than two classes, too. They need all probabilities in memory and sort
  /// them once for each class, so they are left out beyond 2^25 probabilities.
  bool ranking = false;
};

/// Evaluates `logits` [N, C], C >= 2, against `labels` [N]; the prediction is the lowest class index on a tie.
///
/// Sums are in double precision, in row order, so the result does not depend on threads. The margin histograms span
/// [-L, L] with L the smallest power of two that no margin exceeds: edges of two evaluations are equal or nested, so
/// their histograms can be added exactly.
///
/// Throws Error{data} for shapes that do not match, fewer than two classes, a label out of range (with its position) or
/// an empty set; Error{numerical} naming the first row with a logit that is not finite; Error{usage} for a scale that
/// is not positive or an odd number of bins.
Evaluation evaluate(MatrixView<const float> logits, std::span<const std::int64_t> labels,
                    const ClassCounts& train_counts, const EvaluationOptions& options = {});

/// The version of the files with evaluations in a run's results/; increased when the meaning of a key changes.
inline constexpr int k_result_schema_version = 2;

/// Accuracies are fractions in [0, 1]; absent values are null. Keys are the member names. `from_json` throws
/// Json::exception for a missing key or a wrong type.
void to_json(Json& json, const Evaluation& evaluation);
void from_json(const Json& json, Evaluation& evaluation);

}  // namespace ulmus
