#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/eval/costs.hpp"
#include "ulmus/eval/posthoc.hpp"
#include "ulmus/eval/scores.hpp"
#include "ulmus/eval/thresholds.hpp"

namespace ulmus {

/// Log probabilities [N, C] with their labels [N], or without.
struct LabelledScores {
  ScoreMatrix logs;
  std::vector<std::int64_t> labels;  ///< empty: not known
};

/// How scores of any tool are adjusted; what is not set is left out. The order is: temperature, logit adjustment,
/// prior, then the decision by thresholds or costs.
struct AdjustmentPlan {
  std::vector<std::string> class_names;          ///< [C]
  std::optional<ClassCounts> train_counts = {};  ///< for `posthoc`
  std::vector<double> trained_prior = {};        ///< [C], the class frequencies that the scores assume; empty: unknown
  std::vector<double> prior = {};                ///< [C], the frequencies to expect; empty: as they are
  PostHoc posthoc = {};                          ///< none or la
  std::optional<double> temperature = {};
  bool fit_temperature = false;
  std::optional<double> threshold = {};          ///< of two classes, on the probability of `positive`
  std::optional<ThresholdMetric> maximise = {};  ///< fits thresholds
  std::optional<CostMatrix> costs = {};          ///< decides by least expected cost, without thresholds
  std::optional<std::int64_t> positive = {};     ///< class of f1, recall@precision and `threshold`; unset: 1 of two

  /// True if something is fitted on validation data.
  bool needs_fit() const { return fit_temperature || maximise.has_value(); }
};

/// An adjustment with all its numbers.
class ScoreAdjustment {
 public:
  /// Fits what the plan asks for on `validation`, which is unused otherwise. Throws Error{usage} for parts that do not
  /// go together, and as fit_temperature() and fit_thresholds() do.
  ScoreAdjustment(AdjustmentPlan plan, const LabelledScores* validation);

  /// Log probabilities of adjusted scores.
  ScoreMatrix apply(ScoreMatrix logs) const;
  /// The class of each row of adjusted log probabilities: by thresholds, by least expected cost, or the most probable.
  std::vector<std::int64_t> predict(const ScoreMatrix& adjusted) const;

  const AdjustmentPlan& plan() const { return plan_; }
  double temperature() const { return plan_.temperature.value_or(1); }
  const std::optional<Thresholds>& thresholds() const { return thresholds_; }

  /// A line for each part, in order: "prior corrected from ... to ...".
  std::vector<std::string> steps() const;

 private:
  AdjustmentPlan plan_;
  std::optional<Thresholds> thresholds_;
};

}  // namespace ulmus
