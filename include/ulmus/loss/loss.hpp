#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/float16.hpp"
#include "ulmus/loss/hooks.hpp"
#include "ulmus/loss/row_statistics.hpp"
#include "ulmus/loss/spec.hpp"
#include "ulmus/loss/view.hpp"

namespace ulmus {
namespace detail {

/// Memory that begins with a cache line: a vector load of a table then never crosses one.
template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t k_line{64};

  CacheLineAllocator() = default;
  template <class U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), k_line)); }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, k_line); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};

}  // namespace detail

/// What the sums of a batch are divided by. Chunks of a batch, or the processes that share one, add theirs up and
/// evaluate with the sum. Made by Loss::normaliser.
struct Normaliser {
  double divisor = 1;  ///< of the reduction: the number of samples that count, or the sum of their weights
  double samples = 1;  ///< of a term without class weights: the same without those
};

/// What comes with the logits of a batch, and what is wanted of it.
struct LossBatch {
  std::span<const std::int64_t> labels;           ///< [N], each in [0, C) or `ignore_index`
  std::span<const double> sample_weights = {};    ///< [N], at least 0 and finite; empty: all ones
  std::optional<std::int64_t> ignore_index = {};  ///< rows with this label cost nothing and have a zero gradient
  Reduction reduction = Reduction::weighted_mean;
  /// Of the whole batch, where these rows are a part of it: the losses and gradients of the parts then sum to those of
  /// the batch. Both numbers finite and at least 0. Absent: that of these rows. Reduction::none does not read it.
  std::optional<Normaliser> normaliser = {};
  std::span<double> losses = {};  ///< [N], takes w[i] * l[i] of each sample; empty: not wanted
  /// [N], takes 1 where argmax of the logits is the label, else 0 (also for an ignored row): of equal logits the lowest
  /// class counts, and NaN as the largest. Empty: not wanted.
  std::span<std::uint8_t> correct = {};
  /// At most so many; 0: as many as OpenMP gives. Never more than four for each processor that the process may use.
  int threads = 0;

  // What some losses look at beside logits and labels; the others pass over it.
  FeatureBatch features = {};
  /// [N, C], added to the scaled logits, constant for the gradient: the margins of graph nodes for `tam`, in place of
  /// those it would make itself.
  MatrixView<const double> offsets = {};
  /// [N, C], in place of the random draws of `gcl` (normal, clipped) and `eql` (1: spared).
  MatrixView<const double> noise = {};
  /// Of row 0 in the batch, at least 0, where several processes share one and each has consecutive rows. Random draws
  /// depend on the position of a row, not on who has it.
  std::int64_t first_position = 0;
  std::span<const std::int64_t> positions = {};  ///< [N], each at least 0, in place of first_position + i; empty: none
  /// The first class of a shard, for row_statistics and evaluate_shard.
  std::int64_t class_offset = 0;

  /// Of row i, in the batch of all processes.
  std::int64_t position(std::int64_t i) const {
    return positions.empty() ? first_position + i : positions[static_cast<std::size_t>(i)];
  }
};

/// A loss of the family made ready for one training set: its numbers for the kernel and its class weights.
///
///     const auto loss = ulmus::Loss(ulmus::LossSpec::parse("elm:lambda=0.5"), ulmus::ClassCounts({5000, 500, 50}));
///     const double value = loss.evaluate<float>({logits, n, 3}, {.labels = labels}, {gradient, n, 3});
///
/// A value: copying it is cheap beside a batch, and evaluate() is const and may run on several threads at once.
class Loss {
 public:
  /// Throws Error{usage} for a loss with a key that is `auto`, Error{data} for a file of class weights that does not
  /// fit.
  Loss(LossSpec spec, ClassCounts counts);

  const LossSpec& spec() const { return spec_; }
  const ClassCounts& counts() const { return counts_; }
  const KernelParams& params() const { return params_; }
  const LossHooks& hooks() const { return hooks_; }

  /// Class weights in force, [C]; empty: all ones.
  std::span<const double> class_weights() const;

  /// Tells a deferred rule, and a loss that is plain at first, where training is: they are in force from
  /// `spec().rule_epoch(epochs)` and `spec().start_epoch(epochs)` on. Before the first call it is epoch 0. Throws
  /// Error{usage} unless 0 <= epoch < epochs.
  void set_epoch(std::int64_t epoch, std::int64_t epochs);

  /// Replaces the rule's weights by these, [C], in force from now on. Throws Error{usage} for a wrong length or a
  /// weight that is negative or not finite.
  void set_class_weights(std::vector<double> weights);

  /// What the loss carries from batch to batch; no values for most. A training step of those that do is
  ///
  ///     loss.apply_update(loss.collect_update(logits, batch));      several processes: sum the deltas in between
  ///     loss.evaluate(logits, batch, gradient);
  const LossState& state() const { return state_; }

  /// Goes back to a saved state, or sets the seed of the random draws. Throws Error{data} for a state of another
  /// length, a count in it that is not from 0 to 2^53 or a mean that is not finite.
  void set_state(LossState state);

  bool is_stateful() const { return static_cast<bool>(hooks_.collect_update); }

  /// Throws Error{data} for a length that no state of this loss has.
  void check_state_size(std::int64_t size) const;

  /// Throws Error{data} when the state holds means of features of another width.
  void check_feature_width(std::int64_t feature_width) const;

  /// What a batch adds to the state; the deltas of a batch's shares sum up to the batch's. A row with a feature or a
  /// score that is not finite adds nothing. Throws as evaluate() does.
  template <class T>
  std::vector<double> collect_update(MatrixView<const T> logits, const LossBatch& batch) const;

  /// The length of a delta, for features of this width. Throws Error{usage} for a negative width.
  std::int64_t delta_size(std::int64_t feature_width) const;

  /// Takes in what a batch added. Throws Error{data} for a delta of another length or of features of another width
  /// than the state's, a count that is negative or not finite, a mean that is not finite; the state stays as it was.
  void apply_update(std::span<const double> delta);

  /// Offsets that a batch's scaled logits get beside the prologue, constant for the gradient, [N, C] (those of seesaw,
  /// eql, gcl, loce, tam and elm:placement=rival); empty: none. For those who write the loss with other operations.
  std::vector<double> offsets(MatrixView<const double> logits, const LossBatch& batch) const;

  /// True when a loss that is plain at first (key `from`) is itself by now.
  bool active() const { return active_; }

  /// Reduced loss of a batch and, in the same sweep, its gradient.
  ///
  /// @param logits    [N, C], float, double, BFloat16 or Half, what the head gives (before `scale`); any row stride,
  ///                  any alignment of an element
  /// @param batch     labels and options; gradients of features and head are written where it has places for them
  /// @param gradient  [N, C] d loss / d logits, may be `logits` itself; empty: not computed
  /// @return the reduced loss; 0 for no samples or for weights that sum to 0
  ///
  /// The rival is constant for the gradient. Row statistics are float (double for double logits), everything after the
  /// sum over a row is double; on float the loss is within 5e-7 and the gradient within 2e-6 of double (relative, in
  /// norm). Gradients below 2^-125 of the row's largest wrong one are 0, on x86 also those below the smallest normal
  /// number.
  ///
  /// An overflow is seen: a row with a NaN, and one with +infinity at the label, has loss NaN and a gradient of NaNs;
  /// +infinity elsewhere gives +infinity and the gradient of the limit, or NaN (the losses outside the kernel).
  /// -infinity masks a wrong class, which then has no gradient; at the label it gives +infinity. (Smoothed labels
  /// and the losses whose definition does not take masks, lm-softmax, logitnorm and lade, have no finite loss with
  /// one.) A NaN or an infinity in the features of a loss that looks at them gives a loss that is not finite, too. The
  /// reduced loss is then not finite, while the gradients of the other rows are as without it (batch terms apart). A
  /// row that is ignored or has weight 0 costs nothing and has a zero gradient, whatever is in it. Deterministic: bits
  /// depend neither on the number of threads nor on the other rows, but on the instruction set (target.hpp). Throws
  /// Error{data} for shapes that do not fit, a label out of range or a weight that is no weight, naming its position,
  /// Error{usage} when the loss needs features that did not come; nothing is written then. std::bad_alloc may leave
  /// gradients half written; the loss itself stays as it was. The losses that do not run
  /// in the kernel (those with a hook or smoothed labels) compute in double.
  template <class T>
  double evaluate(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient = {}) const;

  /// The normaliser that labels, weights and class weights in force give a batch, by its reduction; the other fields
  /// are not read. That of Reduction::none is {1, 1}. Throws Error{data} for labels and weights as evaluate() does.
  Normaliser normaliser(const LossBatch& batch) const;

  /// True for a loss that evaluate_shard takes: with these keys no hook reads a whole row, and no label is smoothed.
  bool is_shardable() const;

  /// Statistics of the rows of a shard of the classes; merge() makes those of all classes of the shards'.
  ///
  ///     auto statistics = loss.row_statistics<float>(shard, batch);   ... then merge() with those of the other shards
  ///     const double value = loss.evaluate_shard<float>(shard, batch, statistics, gradient);
  ///
  /// @param logits  [N, c], of the classes [batch.class_offset, batch.class_offset + c) of all C
  /// @param batch   labels and weights of all classes, the same for every shard
  /// @return [N], those of no classes for a row that does not count
  ///
  /// Throws as evaluate() does, Error{data} for classes that are not there, and Error{usage} for a loss that is not
  /// shardable.
  template <class T>
  std::vector<RowStatistics> row_statistics(MatrixView<const T> logits, const LossBatch& batch) const;

  /// The loss of the whole batch (the same in every shard, not to be summed, as are batch.losses and the gradient of
  /// the features) and the shard's part of the gradient, from the statistics of all classes, [N].
  ///
  /// On float within 1e-6 of evaluate() on all classes where the adjusted logits are at most about 20, in double within
  /// 1e-13 (relative, in norm). Throws as row_statistics does, and for statistics that no row has.
  template <class T>
  double evaluate_shard(MatrixView<const T> logits, const LossBatch& batch, std::span<const RowStatistics> statistics,
                        MatrixView<T> gradient = {}) const;

 private:
  void check_shardable() const;
  /// The length of the state, for features of this width.
  std::int64_t state_size(std::int64_t feature_width) const;
  /// The feature width of `what`, class means of so many values. Throws Error{data} where there is none.
  std::int64_t width_of(std::int64_t size, std::string_view what) const;

  LossSpec spec_;
  ClassCounts counts_;
  KernelParams params_;
  LossHooks hooks_;
  /// The loss of a row outside the kernel: the hook, or label smoothing; empty for most.
  std::function<double(const Sample& sample, std::span<double> gradient)> row_loss_;
  /// Of the parameters, as the kernels of the types below double read them.
  std::vector<float, detail::CacheLineAllocator<float>> slope_, offset_;
  std::vector<double> weights_;
  bool weights_in_force_ = false;
  bool active_ = true;  ///< a loss that is plain at first is itself
  LossState state_;
};

}  // namespace ulmus
