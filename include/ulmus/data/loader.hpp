#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ulmus/data/augment.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/data/sampler.hpp"

namespace ulmus {

/// Per channel: (x - mean) / stddev, of pixels scaled to [0, 1] or of features as they are. Empty: neither.
struct Normalisation {
  std::vector<float> mean;
  std::vector<float> stddev;
};

/// Mean and standard deviation of each channel, or feature, over the given samples. A channel that is the same
/// everywhere gets a standard deviation of 1. Pixels: exact integer sums, so no dependence on order or threads.
/// Features: sums in double precision, first of the values, then of the squared deviations, in ascending order of the
/// indices. Throws Error{usage} without samples, Error{data} naming a feature that is not finite.
Normalisation channel_statistics(const Dataset& data, std::span<const std::int64_t> indices);

/// A batch of samples. With mixup or cutmix, sample i mixes a sample of class labels[i], with weight lambda, and one of
/// class second_labels[i].
struct Batch {
  std::vector<float> inputs;                ///< [size, channels, height, width], or the features [size, D]
  std::vector<std::int64_t> labels;         ///< [size]
  std::vector<std::int64_t> second_labels;  ///< [size]; empty when the batch is not mixed
  double lambda = 1;
  std::int64_t size = 0;
};

struct LoaderOptions {
  std::int64_t batch_size = 128;  ///< of this process
  bool shuffle = false;           ///< take the sampler's order; otherwise that of the indices
  bool drop_last = false;
  Augmentation augmentation{};
  Normalisation normalisation{};
  std::uint64_t seed = 0;
  int threads = 1;   ///< workers that prepare batches ahead; 0: `next` prepares its batch itself
  int prefetch = 4;  ///< batches prepared ahead at most
  Sampler sampler{};
  std::int64_t epochs = 0;  ///< of the whole training, where the sampler needs it
  Shard shard{};
  /// In epochs that are shuffled; the blocks of a window are fetched while the one before it is read (will_read).
  BlockShuffle blocks{};
};

/// Batches of a part of a data set, prepared ahead by worker threads. What it yields is a function of (seed, epoch,
/// batch) alone; the number of threads changes nothing. The order comes from sample_epoch; the augmentation of an image
/// from Stream(seed, "augment", epoch, index), or in an epoch that is drawn with replacement, where an image comes
/// several times and should not look the same each time, from Stream(seed, "augment-draw", epoch, position); the mixing
/// of a batch from Stream(seed, "mix", epoch, batch). An error in a worker is thrown by the `next` that would have
/// returned its batch; the ones after it can still be had. Used from one thread.
///
/// With several processes, batch b of all of them together holds the positions b * batch_size * world onwards of the
/// epoch's order, each process every world-th. All have as many batches, so they can meet after each; the last one may
/// be smaller, on the higher ranks even empty (`next` returns true, the size is 0).
class Loader {
 public:
  /// Throws Error{usage} for an option out of range, Error{data} for an index beyond the data.
  Loader(Dataset data, std::vector<std::int64_t> indices, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Of an epoch, and of this process; without the last incomplete batch when drop_last is set.
  std::int64_t batches() const;
  std::int64_t samples() const;

  /// Begins an epoch at one of its batches; what was left of the previous one is dropped. Throws Error{usage} for a
  /// batch that is not in [0, batches()], or an epoch that is not below `epochs` where the sampler needs them.
  void start(std::int64_t epoch, std::int64_t first_batch = 0);

  /// The next batch of the epoch, swapped into `batch` (its buffers are reused); false at the end, and before the
  /// first `start`.
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ulmus
