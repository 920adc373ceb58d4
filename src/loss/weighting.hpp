#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/loss/loss.hpp"

namespace ulmus::detail {

/// The weights of the samples of a batch.
struct Weighting {
  std::vector<double> weights;        ///< [N], 0 for an ignored row
  std::vector<double> class_weights;  ///< [N]
  Normaliser normaliser = {};         ///< the normaliser of the batch, or the one given in the batch
  double gradient_scale = 1;          ///< 1 / Normaliser::divisor; 0 if the divisor is 0

  /// Sample::unweighted of row i.
  double unweighted(std::size_t i) const {
    return gradient_scale > 0 && class_weights[i] > 0 ? 1 / (gradient_scale * normaliser.samples * class_weights[i])
                                                      : 0;
  }
};

/// `class_weights`: [C]; empty: ones.
Weighting weigh(const LossBatch& batch, std::span<const double> class_weights);

/// Returns the labels, -1 for a row that does not count: its label is ignored, or its weight (if there are `weights`)
/// is 0.
std::vector<std::int64_t> counted_labels(const LossBatch& batch, std::span<const double> weights);

}  // namespace ulmus::detail
