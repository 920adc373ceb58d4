#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/scores.hpp"

namespace ulmus::detail {

/// Gap between confidence and accuracy, weighted by the number of samples in each bin.
class Calibration {
 public:
  void add(double confidence, bool correct, double weight = 1);
  /// `samples` is the sum of the weights.
  double error(double samples) const;

 private:
  static constexpr std::int64_t k_bins = 15;
  std::array<double, k_bins> gap_{};
};

/// evaluate() for logits that arrive in batches, in row order: the same result and errors. Only metrics of ranking
/// store all probabilities.
class Evaluator {
 public:
  Evaluator(ClassCounts train_counts, EvaluationOptions options);

  /// Adds [n, C] logits and [n] labels, n >= 1.
  void add(MatrixView<const float> logits, std::span<const std::int64_t> labels);
  /// The evaluation of all added rows, at least one. Call it once, at the end.
  Evaluation finish();

 private:
  void keep(std::span<const std::int64_t> labels);

  ClassCounts counts_;
  EvaluationOptions options_;
  Evaluation evaluation_;
  std::vector<std::vector<double>> margins_;  ///< per class
  Calibration calibration_;
  std::int64_t first_ = 0, in_five_ = 0;
  double nll_ = 0, squared_error_ = 0;
  bool ranks_;                 ///< probabilities and labels are kept
  ScoreMatrix probabilities_;  ///< [N, C]
  std::vector<std::int64_t> labels_;
};

}  // namespace ulmus::detail
