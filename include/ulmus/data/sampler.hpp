#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/data/block_shuffle.hpp"

namespace ulmus {

/// Which images an epoch contains, and how often. With n[c] the training images of class c, C the number of classes
/// with images, N the number of images, and E[c] = (1 - beta^n[c]) / (1 - beta) the effective number (n[c] for
/// beta = 1):
///
///     text                     images are                     probability of class c
///     instance                 shuffled, each once            n[c] / N
///     balanced                 drawn with replacement         1 / C
///     sqrt                     drawn with replacement         proportional to sqrt(n[c])
///     progressive              drawn with replacement         (1 - t) n[c] / N + t / C,  t = epoch / (epochs - 1)
///     effective:BETA           drawn with replacement         proportional to E[c]
///     drs:from=0.8,beta=1      instance, then drawn           proportional to n[c] / E[c] from epoch
///                                                             round(from * epochs) on
///
/// `balanced`, `sqrt`, `progressive`: Kang et al., ICLR 2020. `effective` ranges from balanced (beta = 0) to n[c] / N
/// (beta = 1); effective number: Cui et al., CVPR 2019. `drs` is the deferred re-sampling of Cao et al., NeurIPS 2019:
/// an image is drawn with its class-balanced weight 1 / E[c] (beta = 1: 1 / n[c], i.e. balanced); it starts at the
/// epoch of the rule `drw`, at most the last.
struct Sampler {
  enum class Kind { instance, balanced, sqrt, progressive, effective, deferred };
  Kind kind = Kind::instance;
  double beta = 1;    ///< effective, deferred: in [0, 1]
  double from = 0.8;  ///< deferred: fraction of the epochs before it starts, in [0, 1]

  /// Throws Error{usage} for an unknown name or key (with the nearest name) or a value out of range.
  static Sampler parse(std::string_view text);

  /// Text that `parse` converts back to the same sampler.
  std::string text() const;

  /// Returns whether the sampler depends on the number of epochs.
  bool needs_epochs() const { return kind == Kind::progressive || kind == Kind::deferred; }

  /// Returns whether the epoch is drawn with replacement rather than shuffled.
  bool draws(std::int64_t epoch, std::int64_t epochs) const;
};

/// Probability that a position of the epoch contains an image of each class, [C]; 0 for a class without images.
/// `counts` is [C]. Throws Error{usage} for an epoch outside [0, epochs) if the sampler needs them.
std::vector<double> class_probabilities(const Sampler& sampler, std::span<const std::int64_t> counts,
                                        std::int64_t epoch, std::int64_t epochs);

/// One of several processes: it has the positions rank, rank + world, rank + 2 world, ... of an epoch.
struct Shard {
  std::int64_t rank = 0;
  std::int64_t world = 1;
};

struct EpochOptions {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
  std::int64_t epochs = 1;  ///< total of the training
  Shard shard{};
  BlockShuffle blocks{};
};

/// The images of an epoch, in order: as many as `indices` has, without those of the other shards. `labels` covers the
/// whole data set; classes are counted among `indices`.
///
/// A shuffled epoch is Stream(seed, "order", epoch) applied to the indices, or the order that BlockShuffle describes.
/// Otherwise each position is drawn independently, from Stream(seed, "sample", epoch, position): a uniform number for
/// the class, by the cumulative sums of class_probabilities, then an image of the class below its count. So the order
/// does not depend on the number of threads, can start at any position, and the shards of an epoch together equal the
/// epoch of one process. Throws as class_probabilities does.
std::vector<std::int64_t> sample_epoch(const Sampler& sampler, std::span<const std::int64_t> indices,
                                       std::span<const std::int64_t> labels, const EpochOptions& options);

}  // namespace ulmus
