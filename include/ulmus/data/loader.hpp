#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ulmus/data/augment.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/data/sampler.hpp"

namespace ulmus {

/// Per channel: (x - mean) / stddev, for pixels scaled to [0, 1] or for unscaled features. Empty: no normalisation.
struct Normalisation {
  std::vector<float> mean;
  std::vector<float> stddev;
};

/// Mean and standard deviation of each channel, or feature, over the given samples. A constant channel gets a standard
/// deviation of 1. Pixels: exact integer sums, so the result does not depend on order or threads. Features: sums in
/// double precision, first of the values, then of the squared deviations, in ascending order of the indices. Throws
/// Error{usage} without samples, and Error{data} naming a feature that is not finite.
Normalisation channel_statistics(const Dataset& data, std::span<const std::int64_t> indices);

/// A batch of samples. With mixup or cutmix, sample i mixes a sample of class labels[i], with weight lambda, and one of
/// class second_labels[i].
struct Batch {
  std::vector<float> inputs;                ///< [size, channels, height, width], or the features [size, D]
  std::vector<std::int64_t> labels;         ///< [size]
  std::vector<std::int64_t> second_labels;  ///< [size]; empty if the batch is not mixed
  double lambda = 1;
  std::int64_t size = 0;
};

struct LoaderOptions {
  std::int64_t batch_size = 128;  ///< batch size per process
  bool shuffle = false;           ///< use the sampler's order; otherwise the order of the indices
  bool drop_last = false;
  Augmentation augmentation{};
  Normalisation normalisation{};
  std::uint64_t seed = 0;
  int threads = 1;   ///< threads that prepare batches ahead; 0: `next` prepares its batch itself
  int prefetch = 4;  ///< maximum number of batches prepared ahead
  Sampler sampler{};
  std::int64_t epochs = 0;  ///< total of the training, if the sampler needs it
  Shard shard{};
  /// In epochs that are shuffled; the blocks of a window are fetched while the one before it is read (will_read).
  BlockShuffle blocks{};
};

/// Batches of a part of a data set, prepared ahead by worker threads. The batches depend only on (seed, epoch, batch),
/// not on the number of threads. The order comes from sample_epoch. The augmentation of an image comes from
/// Stream(seed, "augment", epoch, index). If the epoch is drawn with replacement, an image may occur several times and
/// should look different each time, so its augmentation comes from Stream(seed, "augment-draw", epoch, position). The
/// mixing of a batch comes from Stream(seed, "mix", epoch, batch). `next` rethrows the error of a worker in place of
/// the failed batch; later batches remain available. Not thread-safe.
///
/// With several processes, batch b of all of them together covers the positions from b * batch_size * world in the
/// epoch's order; each process takes every world-th position. All processes have the same number of batches, so they
/// can synchronise after each; the last one may be smaller, on higher ranks even empty (`next` returns true, the size
/// is 0).
class Loader {
 public:
  /// Throws Error{usage} for an option out of range, and Error{data} for an index out of range.
  Loader(Dataset data, std::vector<std::int64_t> indices, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Number of batches per epoch for this process; without the last incomplete batch if drop_last is set.
  std::int64_t batches() const;
  std::int64_t samples() const;

  /// Starts an epoch at one of its batches and drops the rest of the previous one. Throws Error{usage} for a batch that
  /// is not in [0, batches()], or an epoch that is not below `epochs` if the sampler needs them.
  void start(std::int64_t epoch, std::int64_t first_batch = 0);

  /// Swaps the next batch of the epoch into `batch` (its buffers are reused); returns false at the end, and before the
  /// first `start`.
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ulmus
