#include "data/decode.hpp"

#include "fuzz.hpp"

using namespace ulmus;

/// The bytes of an image file, decoded and resized as for training.
ULMUS_FUZZER(data, size) {
  constexpr std::int64_t k_fuzz_pixels = 1 << 18;
  constexpr int k_side = 16;
  const std::string_view bytes = fuzz::text_of(data, size);
  try {
    const detail::DecodedImage image = detail::decode_image(bytes, {.max_pixels = k_fuzz_pixels});
    fuzz::require(image.pixels.depth() == CV_8U && (image.pixels.channels() == 1 || image.pixels.channels() == 3),
                  "an image is grey or RGB of 8 bits");
    fuzz::require(image.pixels.total() > 0 && image.pixels.total() <= k_fuzz_pixels, "no image is above the limit");
    fuzz::require(image.traits.bits == 0 || (image.traits.bits >= 8 && image.traits.bits <= 16),
                  "the bits in use are 8 to 16");
    const cv::Mat sized = detail::resize_to_square(image.pixels, k_side, k_fuzz_pixels);
    fuzz::require(sized.rows == k_side && sized.cols == k_side, "an image has the size that was asked for");
  } catch (const detail::DecodeError& error) {
    fuzz::require(std::string_view(error.what()).find('\n') == std::string_view::npos, "an error is one line");
  }
  return 0;
}
