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

/// Memory aligned to a cache line, so that a vector load from a table never crosses a line.
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

/// The divisors of the sums over a batch. If a batch is split into chunks or shared by several processes, add up their
/// normalisers and evaluate with the sum. Made by Loss::normaliser.
struct Normaliser {
  double divisor = 1;  ///< divisor of the reduction: the number of samples that count, or the sum of their weights
  double samples = 1;  ///< divisor of a term without class weights: the same, excluding class weights
};

/// The inputs that accompany the logits of a batch, and the requested outputs.
struct LossBatch {
  std::span<const std::int64_t> labels;           ///< [N], each in [0, C) or `ignore_index`
  std::span<const double> sample_weights = {};    ///< [N], at least 0 and finite; empty: all ones
  std::optional<std::int64_t> ignore_index = {};  ///< rows with this label have zero loss and a zero gradient
  Reduction reduction = Reduction::weighted_mean;
  /// Normaliser of the whole batch if these rows are only a part of it: the losses and gradients of the parts then sum
  /// to those of the batch. Both numbers finite and at least 0. Absent: the normaliser of these rows. Not used by
  /// Reduction::none.
  std::optional<Normaliser> normaliser = {};
  std::span<double> losses = {};  ///< [N], receives w[i] * l[i] of each sample; empty: not computed
  /// [N], receives 1 if argmax of the logits is the label, else 0 (also for an ignored row). Among equal logits the
  /// lowest class wins; NaN counts as the largest. Empty: not computed.
  std::span<std::uint8_t> correct = {};
  /// Maximum number of threads; 0: OpenMP's default. At most four per processor that the process may use.
  int threads = 0;

  // Additional inputs of some losses; other losses ignore them.
  FeatureBatch features = {};
  /// [N, C], added to the scaled logits, constant for the gradient: margins of graph nodes for `tam`, replacing those
  /// that it would compute itself.
  MatrixView<const double> offsets = {};
  /// [N, C], replaces the random draws of `gcl` (normal, clipped) and `eql` (1: spared).
  MatrixView<const double> noise = {};
  /// Position of row 0 in the batch, at least 0, if several processes share a batch and each has consecutive rows.
  /// Random draws depend on the position of a row, not on the process.
  std::int64_t first_position = 0;
  std::span<const std::int64_t> positions = {};  ///< [N], each at least 0, replaces first_position + i; empty: none
  /// First class of a shard, for row_statistics and evaluate_shard.
  std::int64_t class_offset = 0;

  /// Position of row i in the batch of all processes.
  std::int64_t position(std::int64_t i) const {
    return positions.empty() ? first_position + i : positions[static_cast<std::size_t>(i)];
  }
};

/// A loss of the family, prepared for one training set: its kernel parameters and class weights.
///
///     const auto loss = ulmus::Loss(ulmus::LossSpec::parse("elm:lambda=0.5"), ulmus::ClassCounts({5000, 500, 50}));
///     const double value = loss.evaluate<float>({logits, n, 3}, {.labels = labels}, {gradient, n, 3});
///
/// A value type: copying is cheap compared with a batch. evaluate() is const and may run on several threads at once.
class Loss {
 public:
  /// Throws Error{usage} for a loss with a key that is `auto`, and Error{data} for a file of class weights that does
  /// not match the classes.
  Loss(LossSpec spec, ClassCounts counts);

  const LossSpec& spec() const { return spec_; }
  const ClassCounts& counts() const { return counts_; }
  const KernelParams& params() const { return params_; }
  const LossHooks& hooks() const { return hooks_; }

  /// The current class weights, [C]; empty: all ones.
  std::span<const double> class_weights() const;

  /// Sets the current epoch for deferred rules and for losses that start as plain cross entropy: they take effect at
  /// `spec().rule_epoch(epochs)` and `spec().start_epoch(epochs)`. Before the first call the epoch is 0. Throws
  /// Error{usage} unless 0 <= epoch < epochs.
  void set_epoch(std::int64_t epoch, std::int64_t epochs);

  /// Replaces the rule's weights with these, [C], effective immediately. Throws Error{usage} for a wrong length or a
  /// weight that is negative or not finite.
  void set_class_weights(std::vector<double> weights);

  /// State that the loss keeps between batches; empty for most losses. A training step of a stateful loss is
  ///
  ///     loss.apply_update(loss.collect_update(logits, batch));      several processes: sum the deltas in between
  ///     loss.evaluate(logits, batch, gradient);
  const LossState& state() const { return state_; }

  /// Restores a saved state, or sets the seed of the random draws. Throws Error{data} for a wrong length, a count that
  /// is not in [0, 2^53] or a mean that is not finite.
  void set_state(LossState state);

  bool is_stateful() const { return static_cast<bool>(hooks_.collect_update); }

  /// Throws Error{data} for a length that no state of this loss can have.
  void check_state_size(std::int64_t size) const;

  /// Throws Error{data} if the state contains means of features of another width.
  void check_feature_width(std::int64_t feature_width) const;

  /// Computes the update of the state by a batch; the deltas of the parts of a batch sum to the delta of the batch. A
  /// row with a feature or score that is not finite adds nothing. Throws as evaluate() does.
  template <class T>
  std::vector<double> collect_update(MatrixView<const T> logits, const LossBatch& batch) const;

  /// Length of a delta for features of this width. Throws Error{usage} for a negative width.
  std::int64_t delta_size(std::int64_t feature_width) const;

  /// Applies an update to the state. Throws Error{data} for a wrong length, features of a width other than the state's,
  /// a count that is negative or not finite, or a mean that is not finite; the state is then unchanged.
  void apply_update(std::span<const double> delta);

  /// Offsets of a batch's scaled logits in addition to the prologue, constant for the gradient, [N, C] (for seesaw,
  /// eql, gcl, loce, tam and elm:placement=rival); empty: none. For implementations of the loss with other operations.
  std::vector<double> offsets(MatrixView<const double> logits, const LossBatch& batch) const;

  /// False while a loss is still plain cross entropy (key `from`).
  bool active() const { return active_; }

  /// Computes the reduced loss of a batch and, in the same pass, its gradient.
  ///
  /// @param logits    [N, C], float, double, BFloat16 or Half, the output of the head (before `scale`); any row stride,
  ///                  any element alignment
  /// @param batch     labels and options; gradients of features and head are written to its buffers, if any
  /// @param gradient  [N, C] d loss / d logits, may be `logits` itself; empty: not computed
  /// @return the reduced loss; 0 for no samples or for weights that sum to 0
  ///
  /// The rival is constant for the gradient. Row statistics are float (double for double logits); everything after the
  /// sum over a row is double. For float the loss is within 5e-7 and the gradient within 2e-6 of double (relative, in
  /// norm). Gradients below 2^-125 of the row's largest incorrect one are 0; on x86 also those below the smallest
  /// normal number.
  ///
  /// Overflow is visible: a row with NaN, or with +infinity at the label, has loss NaN and a gradient of NaNs;
  /// +infinity elsewhere gives +infinity and the gradient of the limit, or NaN (losses outside the kernel). -infinity
  /// masks an incorrect class, which then has no gradient; at the label it gives +infinity. (With a mask, smoothed
  /// labels and the losses whose definition does not take masks, lm-softmax, logitnorm and lade, have no finite loss.)
  /// NaN or infinity in the features of a loss that uses them also gives a loss that is not finite. The reduced loss is
  /// then not finite, while the gradients of the other rows are unaffected (except for batch terms). A row that is
  /// ignored or has weight 0 contributes no loss and has a zero gradient, whatever it contains. Deterministic: the bits
  /// depend on the instruction set (target.hpp) but not on the number of threads or on the other rows. Throws
  /// Error{data} for shapes that do not match, a label out of range or an invalid weight, naming its position, and
  /// Error{usage} if required features are missing; nothing is written in these cases. After std::bad_alloc gradients
  /// may be partially written; the loss itself is unchanged. Losses that do not run in the kernel (those with a hook or
  /// smoothed labels) compute in double.
  template <class T>
  double evaluate(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient = {}) const;

  /// The normaliser of a batch from its labels, weights, the current class weights and its reduction; other fields are
  /// not read. {1, 1} for Reduction::none. Throws Error{data} for invalid labels and weights as evaluate() does.
  Normaliser normaliser(const LossBatch& batch) const;

  /// True for a loss that evaluate_shard supports: with these keys no hook reads a whole row, and no label is smoothed.
  bool is_shardable() const;

  /// Computes row statistics over a shard of the classes; merge() combines the shards' statistics into those of all
  /// classes.
  ///
  ///     auto statistics = loss.row_statistics<float>(shard, batch);   ... then merge() with those of the other shards
  ///     const double value = loss.evaluate_shard<float>(shard, batch, statistics, gradient);
  ///
  /// @param logits  [N, c], of the classes [batch.class_offset, batch.class_offset + c) of all C
  /// @param batch   labels and weights of all classes, the same for every shard
  /// @return [N], default-constructed for a row that does not count
  ///
  /// Throws as evaluate() does, Error{data} for classes out of range, and Error{usage} for a loss that is not
  /// shardable.
  template <class T>
  std::vector<RowStatistics> row_statistics(MatrixView<const T> logits, const LossBatch& batch) const;

  /// Computes the loss of the whole batch and the shard's part of the gradient from the statistics of all classes, [N].
  /// The loss is the same in every shard (do not sum it), and so are batch.losses and the gradient of the features.
  ///
  /// For float within 1e-6 of evaluate() on all classes if the adjusted logits are at most about 20, for double within
  /// 1e-13 (relative, in norm). Throws as row_statistics does, and for statistics that no row can have.
  template <class T>
  double evaluate_shard(MatrixView<const T> logits, const LossBatch& batch, std::span<const RowStatistics> statistics,
                        MatrixView<T> gradient = {}) const;

 private:
  void check_shardable() const;
  /// Length of the state for features of this width.
  std::int64_t state_size(std::int64_t feature_width) const;
  /// Feature width of `what`, class means with `size` values. Throws Error{data} if no width matches.
  std::int64_t width_of(std::int64_t size, std::string_view what) const;

  LossSpec spec_;
  ClassCounts counts_;
  KernelParams params_;
  LossHooks hooks_;
  /// Loss of a row outside the kernel: the hook, or label smoothing; empty for most losses.
  std::function<double(const Sample& sample, std::span<double> gradient)> row_loss_;
  /// Copies of the parameters in float, which the kernels for types smaller than double read.
  std::vector<float, detail::CacheLineAllocator<float>> slope_, offset_;
  std::vector<double> weights_;
  bool weights_in_force_ = false;
  bool active_ = true;  ///< false while the loss is still plain cross entropy
  LossState state_;
};

}  // namespace ulmus
