#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/data/loader.hpp"

namespace ulmus::detail {

/// Maps each 8-bit value to its normalised value, one table per channel.
using PixelTable = std::array<float, 256>;

inline std::vector<PixelTable> pixel_tables(const Normalisation& normalisation, std::int64_t channels) {
  std::vector<PixelTable> tables(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < tables.size(); ++c)
    for (std::size_t value = 0; value < 256; ++value) {
      const float scaled = static_cast<float>(value) / 255.0f;
      tables[c][value] =
          normalisation.mean.empty() ? scaled : (scaled - normalisation.mean[c]) / normalisation.stddev[c];
    }
  return tables;
}

inline void write_image(std::span<const std::uint8_t> image, std::span<const PixelTable> tables, float* out) {
  const std::size_t plane = image.size() / tables.size();
  for (const PixelTable& table : tables) {
    for (const std::uint8_t value : image.first(plane)) *out++ = table[value];
    image = image.subspan(plane);
  }
}

}  // namespace ulmus::detail
