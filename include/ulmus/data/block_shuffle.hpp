#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ulmus {

/// How an epoch that shows each sample once is shuffled, where the samples are larger than memory.
///
/// The rows of the data set are cut into blocks of `rows` that lie together in their file. An epoch shuffles the
/// blocks, takes `blocks` of them at a time (a window), and shuffles the samples of a window; a window is read while
/// the one before it is trained on. So a file is read in pieces of a block's size, once an epoch, and `rows * blocks`
/// samples are mixed. With one window, or rows = 0, every order is possible.
struct BlockShuffle {
  std::int64_t rows = 0;      ///< in a block; 0: no blocks, all samples are shuffled together
  std::int64_t blocks = 512;  ///< in a window

  /// "full", or "block:rows=R,blocks=B" with either key left out: rows of 256 KiB of `features` 32-bit floats, 512
  /// blocks, which make windows of 128 MiB. Throws Error{usage} with the nearest name, or for a number below 1.
  static BlockShuffle parse(std::string_view text, std::int64_t features);

  /// Text that `parse` reads back.
  std::string text() const;
};

}  // namespace ulmus
