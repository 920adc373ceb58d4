#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/spec.hpp"
#include "ulmus/loss/view.hpp"

namespace ulmus {

/// How the losses l[i] of the N samples, with class weights w, become one number.
enum class Reduction {
  mean,           ///< sum of w[y[i]] * l[i], over N
  weighted_mean,  ///< sum of w[y[i]] * l[i], over sum of w[y[i]]: torch's cross entropy with `weight`, the reference
                  ///< protocol
};

std::string_view name_of(Reduction reduction);

/// "mean" or "weighted-mean"; throws Error{usage} with the nearest name.
Reduction parse_reduction(std::string_view name);

/// A loss of the family made ready for one training set: its numbers for the kernel and its class weights.
///
///     const auto loss = ulmus::Loss(ulmus::LossSpec::parse("elm:lambda=0.5"), ulmus::ClassCounts({5000, 500, 50}));
///     const double value = loss.evaluate<float>({logits, n, 3}, {labels, n}, {gradient, n, 3});
///
/// A value: copying it is cheap beside a batch, and evaluate() is const and may run on several threads at once.
class Loss {
 public:
  Loss(LossSpec spec, ClassCounts counts);

  const LossSpec& spec() const { return spec_; }
  const ClassCounts& counts() const { return counts_; }
  const RowTerms& terms() const { return terms_; }

  /// Class weights in force, [C]; empty: all ones.
  std::span<const double> class_weights() const;

  /// Tells a deferred rule where training is: its weights are in force from `spec().reweight_epoch(epochs)` on. Before
  /// the first call it is epoch 0. Throws Error{usage} unless 0 <= epoch < epochs.
  void set_epoch(std::int64_t epoch, std::int64_t epochs);

  /// Replaces the rule's weights by these, [C], in force from now on. Throws Error{usage} for a wrong length or a
  /// weight that is negative or not finite.
  void set_class_weights(std::vector<double> weights);

  /// Reduced loss of a batch and, in the same sweep, its gradient.
  ///
  /// @param logits    [N, C], float or double, what the head gives (before `scale`)
  /// @param labels    [N], each in [0, C)
  /// @param gradient  [N, C] d loss / d logits, may be `logits` itself; empty: not computed
  /// @param losses    [N] weighted loss of each sample before the reduction, empty: not wanted
  /// @return the reduced loss; 0 for no samples or for weights that sum to 0
  ///
  /// The rival is constant for the gradient. Statistics are double; float exponentials have an error of 1 ulp. A row
  /// with a NaN gives NaN. Infinite logits have the value and gradient of the limit; infinite both at the label and
  /// elsewhere: NaN. Deterministic: bits depend neither on the number of threads nor on the other rows. Throws
  /// Error{data} for shapes that do not fit or a label out of range, naming its position; nothing is written then.
  template <class T>
  double evaluate(MatrixView<const T> logits, std::span<const std::int64_t> labels, MatrixView<T> gradient = {},
                  Reduction reduction = Reduction::weighted_mean, std::span<double> losses = {}) const;

 private:
  LossSpec spec_;
  ClassCounts counts_;
  RowTerms terms_;
  std::vector<double> weights_;
  bool weights_in_force_ = false;
};

}  // namespace ulmus
