#pragma once

#include <cstdint>
#include <string>

#include "ulmus/data/block_shuffle.hpp"

namespace ulmus::detail {

/// What a run trains on, for the choice of its shuffle.
struct FeatureExtent {
  std::int64_t width = 0;          ///< D of the features; 0: images
  std::int64_t bytes_on_disk = 0;  ///< that are read from files when they are asked for
};

/// Features that take more than this share of `memory` are shuffled by blocks, as what was read does not stay in the
/// cache of the operating system until it is read again.
inline constexpr double k_full_shuffle_share = 0.5;

/// The shuffle that the option asks for; `auto` is `block` for features of more than k_full_shuffle_share of `memory`
/// bytes, else `full`. Throws Error{usage} for an option that cannot be read, and for blocks of images or with a
/// sampler that never shuffles.
BlockShuffle choose_shuffle(const std::string& option, const FeatureExtent& features, const std::string& sampler,
                            std::int64_t memory);

/// Throws Error{environment} when features [rows, width] are more than the memory; `what` needs them all at once.
void require_memory(std::int64_t rows, std::int64_t width, const std::string& what);

}  // namespace ulmus::detail
