#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {

/// Why an image cannot be used.
enum class ImageFault { no_image, other_format, damaged, unsupported, too_large, too_deep, no_memory, other_size };

/// "not an image", as failures are counted.
std::string_view name_of(ImageFault fault);

/// Why bytes are not decoded; the text continues "'FILE' cannot be decoded as an image: ".
class DecodeError : public std::runtime_error {
 public:
  DecodeError(ImageFault fault, const std::string& why) : std::runtime_error(why), fault_(fault) {}
  ImageFault fault() const { return fault_; }

 private:
  ImageFault fault_;
};

enum class ImageFormat { none, jpeg, png, tiff, webp, bmp, pnm };

/// Enough of a file for `format_of`.
constexpr std::size_t k_format_bytes = 32;

/// The format that the first bytes show; `none` for everything that `decode_image` does not read.
ImageFormat format_of(std::string_view bytes);

/// The orientation, 1 to 8, in an EXIF block (TIFF 6.0, with or without the leading "Exif" and two zeros); 1 where it
/// has none or is damaged.
int exif_orientation(std::string_view exif);

struct DecodeOptions {
  std::int64_t max_pixels = k_max_pixels;  ///< a file that declares more is refused before it is decoded
  /// Bits in use in samples of more than 8 bits: 2^bits - 1 becomes 255. 0: all 16.
  int bits = 0;
};

/// Properties of a file that its pixels no longer show.
struct ImageTraits {
  int bits = 0;              ///< that samples of more than 8 bits use, 8 to 16; 0 for other files
  bool transparent = false;  ///< some pixel is
  bool paged = false;        ///< the first of several pages
  bool animated = false;     ///< the first of several frames
  bool left_over = false;  ///< a JPEG with bytes between its pixels and its end: some cameras pad, and damage may, too
};

struct DecodedImage {
  cv::Mat pixels;  ///< 8 bits, grey or B, G, R; upright, on white
  ImageTraits traits;
};

/// Decodes the whole file, for training and prediction alike: grey stays grey, colours are made RGB, transparency is
/// composed on white, an EXIF orientation is applied, of pages and frames the first is taken.
///
/// Throws DecodeError for what is no image, damaged or truncated anywhere, larger than the limit, of samples that are
/// no unsigned whole numbers of up to 16 bits, or of larger numbers than `bits` allows. Writes nothing to standard
/// error.
DecodedImage decode_image(std::string_view bytes, const DecodeOptions& options);

/// The shorter side to `side` (by area when it shrinks, otherwise linearly), then the centre. Throws DecodeError where
/// the scaled image has more than `max_pixels`.
cv::Mat resize_to_square(const cv::Mat& image, int side, std::int64_t max_pixels);

}  // namespace ulmus::detail
