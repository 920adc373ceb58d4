#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ulmus/loss/view.hpp"

/// What a loss may compute beside filling the kernel's slots. Most have none of this.
namespace ulmus {

/// The features of a batch, and the head that makes logits of them, for the losses that look at these.
struct FeatureBatch {
  MatrixView<const double> features = {};     ///< [N, D]
  MatrixView<double> gradient = {};           ///< [N, D], takes d loss / d features; empty: not wanted
  MatrixView<const double> head_weight = {};  ///< [C, D] of a linear head
  MatrixView<double> head_weight_gradient = {};
  std::span<const double> head_bias = {};  ///< [C]
  std::span<double> head_bias_gradient = {};
};

/// What a loss carries from batch to batch beside its numbers: running counts, means, the step of its random draws.
/// It changes only in Loss::apply_update, and is saved with a checkpoint.
struct LossState {
  std::vector<double> values;
  std::uint64_t seed = 0;  ///< of random draws; the trainer sets the run's
  /// D, of a state that holds a mean feature of every class; 0: it holds none, or none yet. Loss::set_state finds it
  /// from the number of values.
  std::int64_t feature_width = 0;
};

/// The cross entropy c of a sample, q = 1 - exp(-c) and p = exp(-c).
struct CrossEntropy {
  double c, q, p;
};

/// One sample, in double.
struct Sample {
  std::span<const double> logits;  ///< [C], what the head gives
  std::int64_t label;
  std::int64_t position;          ///< in the batch of all processes
  std::span<const double> noise;  ///< [C], in place of the loss's own random draws; empty: draw
  /// Times this, a term is free of class weights: its reduced sum is the mean over the samples.
  double unweighted;
};

/// A loss by a shape that looks at more than the cross entropy, with its derivatives.
struct ShapedLoss {
  double value;
  double by_distance;  ///< d value / d distance
  double by_norm;      ///< d value / d |feature|_1
};

/// A batch for the parts that look at all of it.
struct BatchView {
  std::int64_t rows;
  std::int64_t classes;
  std::span<const std::int64_t> labels;  ///< [rows], -1 where a row does not count
  /// Row i of the logits, in double, [C].
  std::function<void(std::int64_t i, std::span<double> logits)> read_logits;
  /// Adds to row i of the gradient of the logits; empty: not wanted.
  std::function<void(std::int64_t i, std::span<const double> gradient)> add_gradient;
  FeatureBatch features;
  std::span<const double> class_weights = {};    ///< [classes], those in force; empty: ones
  std::span<const std::int64_t> positions = {};  ///< as LossBatch has them
  std::int64_t first_position = 0;

  /// Of row i, in the batch of all processes.
  std::int64_t position(std::int64_t i) const {
    return positions.empty() ? first_position + i : positions[static_cast<std::size_t>(i)];
  }
};

struct LossHooks {
  /// Adds offsets, constant for the gradient, to the scaled logits u of a sample.
  std::function<void(const Sample& sample, const LossState& state, std::span<double> offset)> row_offset = {};
  /// The loss of a sample in place of the kernel's; writes its gradient, [C].
  std::function<double(const Sample& sample, std::span<double> gradient)> row_loss = {};
  /// A shape that also reads the L1 norm of the sample's feature and its class weight.
  std::function<ShapedLoss(const CrossEntropy& of, double feature_norm, double class_weight)> shape = {};
  /// A term of the whole batch that comes on top; adds its gradients.
  std::function<double(const BatchView& batch, const LossState& state)> batch_term = {};
  /// Offsets of the scaled logits, [N, C], that are made of the whole batch and constant for the gradient.
  std::function<std::vector<double>(const BatchView& batch)> batch_offset = {};

  /// The state before the first batch.
  std::vector<double> initial_state = {};
  /// The state is the running mean feature of every class (class_means.hpp): empty at first, then [C (1 + D)], and so
  /// is an update of it.
  bool class_means = false;
  /// What a batch adds to the state, as numbers that can be summed over the processes that share a batch; empty: the
  /// loss carries nothing.
  std::function<std::vector<double>(const BatchView& batch, const LossState& state)> collect_update = {};
  /// Takes in what a batch added.
  std::function<void(LossState& state, std::span<const double> delta)> apply_update = {};

  /// Where a linear head's biases begin: the sigmoid losses start from a small probability for every class.
  double initial_bias = 0;
};

}  // namespace ulmus
