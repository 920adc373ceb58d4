#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/data/block_shuffle.hpp"

namespace ulmus::detail {

/// Blocks whose samples are shuffled together.
struct BlockWindow {
  std::int64_t first = 0;            ///< position of its first sample in the epoch
  std::vector<std::int64_t> blocks;  ///< ascending; block b has the rows [b * rows, (b + 1) * rows)
};

struct BlockOrder {
  std::vector<std::int64_t> order;   ///< the samples of the epoch
  std::vector<BlockWindow> windows;  ///< in the order of the epoch
};

/// The blocks that hold one of the `indices`, shuffled by Stream(seed, "blocks", epoch), then the samples of window w
/// by Stream(seed, "window", epoch, w). The order of `indices` does not matter. `shuffle.rows` is at least 1.
BlockOrder block_order(const BlockShuffle& shuffle, std::span<const std::int64_t> indices, std::uint64_t seed,
                       std::int64_t epoch);

}  // namespace ulmus::detail
