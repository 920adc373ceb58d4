#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ulmus/data/dataset.hpp"

namespace ulmus {

/// A JPEG file of an image, [C * H * W] with 1 or 3 channels, whose longer side is at most `side` pixels: a larger
/// image is shrunk by area. Throws Error{usage} for another number of channels, Error{environment} if libjpeg fails.
std::string jpeg_thumbnail(std::span<const std::uint8_t> pixels, const ImageShape& shape, int side);

}  // namespace ulmus
