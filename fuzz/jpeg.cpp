#include "data/jpeg.hpp"

#include <opencv2/imgcodecs.hpp>

#include "fuzz.hpp"

using namespace ulmus;

namespace {

/// A frame header anywhere in the bytes may promise an image that takes gigabytes; decoding it is not what is tried
/// here.
bool may_be_large(std::string_view bytes) {
  constexpr std::uint32_t k_most_pixels = 1 << 20;
  const auto at = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(bytes[i]); };
  for (std::size_t i = 0; i + 8 < bytes.size(); ++i)
    if (at(i) == 0xff && (at(i + 1) & 0xf0) == 0xc0)
      if ((at(i + 5) << 8 | at(i + 6)) * (at(i + 7) << 8 | at(i + 8)) > k_most_pixels) return true;
  return false;
}

}  // namespace

ULMUS_FUZZER(data, size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  if (may_be_large(bytes)) return 0;
  const cv::Mat image = detail::decode_clean_jpeg(bytes);
  if (image.empty()) return 0;
  const cv::Mat expected =
      cv::imdecode(cv::Mat(1, static_cast<int>(size), CV_8UC1, const_cast<std::uint8_t*>(data)), cv::IMREAD_ANYCOLOR);
  fuzz::require(image.size() == expected.size() && image.type() == expected.type(), "OpenCV sees the same image");
  fuzz::require(cv::norm(image, expected, cv::NORM_INF) == 0, "OpenCV sees the same pixels");
  return 0;
}
