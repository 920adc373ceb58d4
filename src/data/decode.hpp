#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {

/// The reason why an image cannot be used.
enum class ImageFault { no_image, other_format, damaged, unsupported, too_large, too_deep, no_memory, other_size };

/// The name under which failures are counted, "not an image".
std::string_view name_of(ImageFault fault);

/// Why bytes cannot be decoded; the text continues "'FILE' cannot be decoded as an image: ".
class DecodeError : public std::runtime_error {
 public:
  DecodeError(ImageFault fault, const std::string& why) : std::runtime_error(why), fault_(fault) {}
  ImageFault fault() const { return fault_; }

 private:
  ImageFault fault_;
};

enum class ImageFormat { none, jpeg, png, tiff, webp, bmp, pnm };

/// Number of bytes that `format_of` needs.
constexpr std::size_t k_format_bytes = 32;

/// Detects the format from the first bytes; `none` for everything that `decode_image` does not support.
ImageFormat format_of(std::string_view bytes);

/// The orientation, 1 to 8, in an EXIF block (TIFF 6.0, with or without the leading "Exif" and two zeros); 1 if it has
/// none or is damaged.
int exif_orientation(std::string_view exif);

struct DecodeOptions {
  std::int64_t max_pixels = k_max_pixels;  ///< a file that declares more fails before decoding
  /// Used bits in samples of more than 8 bits: 2^bits - 1 becomes 255. 0: all 16.
  int bits = 0;
};

/// Properties of a file that are not visible in its decoded pixels.
struct ImageTraits {
  int bits = 0;              ///< used bits of samples with more than 8 bits, 8 to 16; 0 for other files
  bool transparent = false;  ///< some pixel is transparent
  bool paged = false;        ///< the first of several pages
  bool animated = false;     ///< the first of several frames
  bool left_over = false;    ///< a JPEG with bytes between its pixels and its end: padding by some cameras, or damage
};

struct DecodedImage {
  cv::Mat pixels;  ///< 8 bits, grey or B, G, R; upright, on white
  ImageTraits traits;
};

/// Decodes the whole file, the same way for training and prediction: grey stays grey, colours become RGB, transparency
/// is composed on white, an EXIF orientation is applied, and the first page or frame is used.
///
/// Throws DecodeError for data that are not an image, damaged or truncated anywhere, or larger than the limit, or whose
/// samples are not unsigned integers of up to 16 bits or exceed `bits`. Writes nothing to standard error.
DecodedImage decode_image(std::string_view bytes, const DecodeOptions& options);

/// Scales the shorter side to `side` (by area when shrinking, otherwise linearly), then cuts out the centre. Throws
/// DecodeError if the scaled image has more than `max_pixels`.
cv::Mat resize_to_square(const cv::Mat& image, int side, std::int64_t max_pixels);

}  // namespace ulmus::detail
