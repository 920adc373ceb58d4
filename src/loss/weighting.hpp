#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/loss/loss.hpp"

namespace ulmus::detail {

/// How the samples of a batch weigh.
struct Weighting {
  std::vector<double> weights;        ///< [N], 0 where a row is ignored
  std::vector<double> class_weights;  ///< [N]
  Normaliser normaliser = {};         ///< that of the batch, or the one it states
  double gradient_scale = 1;          ///< 1 / Normaliser::divisor; 0 where that is 0

  /// Sample::unweighted of row i.
  double unweighted(std::size_t i) const {
    return gradient_scale > 0 && class_weights[i] > 0 ? 1 / (gradient_scale * normaliser.samples * class_weights[i])
                                                      : 0;
  }
};

/// `class_weights`: [C]; empty: ones.
Weighting weigh(const LossBatch& batch, std::span<const double> class_weights);

/// The labels, -1 where a row does not count: its label is ignored, or its weight (where there are `weights`) is 0.
std::vector<std::int64_t> counted_labels(const LossBatch& batch, std::span<const double> weights);

}  // namespace ulmus::detail
