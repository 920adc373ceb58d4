#pragma once

#include "data/image_ops.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus::detail {

constexpr std::int64_t k_most_strength = 30;  ///< for randaugment

/// AutoAugment and RandAugment; operations and draws are documented in augment.hpp.
void auto_augment(const Image& image, Stream& stream);
void rand_augment(const Image& image, std::int64_t operations, std::int64_t strength, Stream& stream);

}  // namespace ulmus::detail
