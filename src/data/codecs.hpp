#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <string_view>

#include "data/decode.hpp"

namespace ulmus::detail {

/// An image as decoded by its codec.
struct RawImage {
  cv::Mat pixels;              ///< 8 or 16 bits; grey or B, G, R; the last of two or four channels is alpha
  int orientation = 1;         ///< EXIF orientation
  bool premultiplied = false;  ///< colours are multiplied by alpha
  bool inverted = false;       ///< 0 is white
  bool paged = false;
  bool animated = false;
  bool left_over = false;  ///< there are bytes between the pixels and the end
};

/// The decoders. They throw DecodeError, and check the declared size before they allocate memory for pixels.
RawImage decode_jpeg(std::string_view bytes, std::int64_t max_pixels);
RawImage decode_png(std::string_view bytes, std::int64_t max_pixels);
RawImage decode_tiff(std::string_view bytes, std::int64_t max_pixels);
RawImage decode_webp(std::string_view bytes, std::int64_t max_pixels);
RawImage decode_bmp(std::string_view bytes, std::int64_t max_pixels);
RawImage decode_pnm(std::string_view bytes, std::int64_t max_pixels);

/// Throws DecodeError for an image without pixels or with more than `max_pixels`.
void check_size(std::uint64_t width, std::uint64_t height, std::int64_t max_pixels);

/// Throws DecodeError for a damaged image; `detail` is the decoder's message.
[[noreturn]] void damaged(std::string_view detail);

}  // namespace ulmus::detail
