#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ulmus/data/dataset.hpp"

namespace ulmus {

/// Zero padding (black pixels) with a random crop back to the image's size, then a random horizontal flip. Draws of an
/// image's stream, in this order: with padding the row offset and the column offset, each below 2 * pad + 1; with flip
/// a bit.
struct Augmentation {
  std::int64_t pad = 0;  ///< pixels on every side, less than the image's shorter side
  bool flip = false;
};

/// Per channel, for pixels scaled to [0, 1]: (x - mean) / stddev. Empty: only scaled.
struct Normalisation {
  std::vector<float> mean;
  std::vector<float> stddev;
};

/// Mean and standard deviation of each channel over the given images. Exact integer sums, so no dependence on order or
/// threads. A channel that is the same everywhere gets a standard deviation of 1. Throws Error{usage} without images.
Normalisation channel_statistics(const Dataset& data, std::span<const std::int64_t> indices);

struct Batch {
  std::vector<float> pixels;         ///< [size, channels, height, width]
  std::vector<std::int64_t> labels;  ///< [size]
  std::int64_t size = 0;
};

struct LoaderOptions {
  std::int64_t batch_size = 128;
  bool shuffle = false;
  bool drop_last = false;
  Augmentation augmentation{};
  Normalisation normalisation{};
  std::uint64_t seed = 0;
  int threads = 1;   ///< workers that prepare batches ahead; 0: `next` prepares its batch itself
  int prefetch = 4;  ///< batches prepared ahead at most
};

/// Batches of a part of a data set, prepared ahead by worker threads. What it yields is a function of (seed, epoch)
/// alone: the order comes from Stream(seed, "order", epoch), the augmentation of an image from Stream(seed, "augment",
/// epoch, index); the number of threads changes nothing. An error in a worker is thrown by the `next` that would have
/// returned its batch; the ones after it can still be had. Used from one thread.
class Loader {
 public:
  /// Throws Error{usage} for an option out of range, Error{data} for an index beyond the data.
  Loader(Dataset data, std::vector<std::int64_t> indices, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Of an epoch; without the last incomplete batch when drop_last is set.
  std::int64_t batches() const;
  std::int64_t samples() const;

  /// Begins an epoch; what was left of the previous one is dropped.
  void start(std::int64_t epoch);

  /// The next batch of the epoch, swapped into `batch` (its buffers are reused); false at the end, and before the
  /// first `start`.
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ulmus
