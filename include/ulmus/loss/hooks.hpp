#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ulmus/loss/view.hpp"

/// What a loss may compute in addition to its kernel parameters. Most losses use none of this.
namespace ulmus {

/// The features of a batch and the head that maps them to logits, for losses that use them.
struct FeatureBatch {
  MatrixView<const double> features = {};     ///< [N, D]
  MatrixView<double> gradient = {};           ///< [N, D], receives d loss / d features; empty: not computed
  MatrixView<const double> head_weight = {};  ///< [C, D] of a linear head
  MatrixView<double> head_weight_gradient = {};
  std::span<const double> head_bias = {};  ///< [C]
  std::span<double> head_bias_gradient = {};
};

/// State that a loss keeps between batches: running counts, means, the step of its random draws. It changes only in
/// Loss::apply_update and is saved with a checkpoint.
struct LossState {
  std::vector<double> values;
  std::uint64_t seed = 0;  ///< seed of the random draws; the trainer sets the seed of the run
  /// Feature width D of a state that stores a mean feature per class; 0: it stores none, or none yet. Loss::set_state
  /// infers it from the number of values.
  std::int64_t feature_width = 0;
};

/// The cross entropy c of a sample, q = 1 - exp(-c) and p = exp(-c).
struct CrossEntropy {
  double c, q, p;
};

/// One sample, in double.
struct Sample {
  std::span<const double> logits;  ///< [C], the output of the head
  std::int64_t label;
  std::int64_t position;          ///< position in the batch of all processes
  std::span<const double> noise;  ///< [C], replaces the loss's random draws; empty: draw
  /// Multiply a term by this to exclude class weights: its reduced sum is then the mean over the samples.
  double unweighted;
};

/// Loss of a shape that depends on more than the cross entropy, with its derivatives.
struct ShapedLoss {
  double value;
  double by_distance;  ///< d value / d distance
  double by_norm;      ///< d value / d |feature|_1
};

/// A batch for hooks that read the whole batch.
struct BatchView {
  std::int64_t rows;
  std::int64_t classes;
  std::span<const std::int64_t> labels;  ///< [rows], -1 for a row that does not count
  /// Reads row i of the logits, in double, [C].
  std::function<void(std::int64_t i, std::span<double> logits)> read_logits;
  /// Adds to row i of the gradient of the logits; empty: not computed.
  std::function<void(std::int64_t i, std::span<const double> gradient)> add_gradient;
  FeatureBatch features;
  std::span<const double> class_weights = {};    ///< [classes], the current weights; empty: ones
  std::span<const std::int64_t> positions = {};  ///< as in LossBatch
  std::int64_t first_position = 0;

  /// Position of row i in the batch of all processes.
  std::int64_t position(std::int64_t i) const {
    return positions.empty() ? first_position + i : positions[static_cast<std::size_t>(i)];
  }
};

struct LossHooks {
  /// Adds offsets to the scaled logits u of a sample. They are constant for the gradient.
  std::function<void(const Sample& sample, const LossState& state, std::span<double> offset)> row_offset = {};
  /// Computes the loss of a sample instead of the kernel and writes its gradient, [C].
  std::function<double(const Sample& sample, std::span<double> gradient)> row_loss = {};
  /// A shape that also depends on the L1 norm of the sample's feature and on its class weight.
  std::function<ShapedLoss(const CrossEntropy& of, double feature_norm, double class_weight)> shape = {};
  /// An additional term of the whole batch; adds its gradients.
  std::function<double(const BatchView& batch, const LossState& state)> batch_term = {};
  /// Offsets of the scaled logits, [N, C], computed from the whole batch and constant for the gradient.
  std::function<std::vector<double>(const BatchView& batch)> batch_offset = {};

  /// The state before the first batch.
  std::vector<double> initial_state = {};
  /// The state is the running mean feature of every class (class_means.hpp): empty at first, then [C (1 + D)]; an
  /// update has the same layout.
  bool class_means = false;
  /// Computes a batch's update of the state, as numbers that can be summed over the processes that share the batch.
  /// Empty: the loss has no state.
  std::function<std::vector<double>(const BatchView& batch, const LossState& state)> collect_update = {};
  /// Applies an update to the state.
  std::function<void(LossState& state, std::span<const double> delta)> apply_update = {};

  /// Initial bias of a linear head: sigmoid losses start from a small probability for every class.
  double initial_bias = 0;
};

}  // namespace ulmus
