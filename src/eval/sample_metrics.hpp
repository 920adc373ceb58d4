#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/eval/score_comparison.hpp"

namespace ulmus::detail {

/// The metrics of predictions and probabilities on weighted samples, so that a bootstrap sample costs no sorting.
class SampleMetrics {
 public:
  struct Name {
    const char* name;
    std::string label;
    bool fraction;
    int better;
  };

  SampleMetrics(const Decisions& decisions, std::span<const std::int64_t> labels, const ComparisonOptions& options);

  /// The names of the values, in order.
  static std::vector<Name> names(std::int64_t classes, const ComparisonOptions& options);
  /// The values for sample weights [N]; NaN where a metric does not exist.
  std::vector<double> values(std::span<const double> weights) const;

  const std::vector<RankedScores>& ranked() const { return ranked_; }

 private:
  std::int64_t classes_;
  std::span<const std::int64_t> labels_;
  const std::vector<std::int64_t>& predicted_;
  const ComparisonOptions& options_;
  std::vector<double> squared_, surprise_,
      confidence_;                          ///< [N]: squared error, negative log-likelihood, top probability
  std::vector<std::uint8_t> top_is_right_;  ///< [N]
  std::vector<RankedScores> ranked_;        ///< [C]
};

}  // namespace ulmus::detail
