#include "images.hpp"

#include <algorithm>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "ulmus/base/random.hpp"

namespace ulmus::bench {
namespace {

constexpr int k_cells = 7;  ///< number of colours per side
constexpr int k_shapes = 30;
constexpr int k_grain = 16;  ///< grey levels up or down

class Draws {
 public:
  explicit Draws(Stream stream) : stream_(std::move(stream)) {}
  int below(int bound) { return static_cast<int>(stream_.below(static_cast<std::uint64_t>(bound))); }
  cv::Vec3b colour() {
    cv::Vec3b drawn;
    for (int c = 0; c < 3; ++c) drawn[c] = static_cast<std::uint8_t>(below(256));
    return drawn;
  }

 private:
  Stream stream_;
};

}  // namespace

cv::Mat made_up_image(cv::Size size, std::uint64_t label, std::uint64_t number) {
  Draws of_class(Stream(0, "class", label)), own(Stream(0, "image", label, number));
  cv::Mat cells(k_cells, k_cells, CV_8UC3);
  for (auto cell = cells.begin<cv::Vec3b>(); cell != cells.end<cv::Vec3b>(); ++cell)
    *cell = of_class.colour() / 2 + own.colour() / 2;
  cv::Mat image;
  cv::resize(cells, image, size, 0, 0, cv::INTER_CUBIC);
  const int radius = std::max(2, size.height / 7);
  for (int shape = 0; shape < k_shapes; ++shape) {
    const cv::Point centre(own.below(size.width), own.below(size.height));
    const int length = 2 + own.below(radius), thickness = own.below(3) - 1;
    cv::circle(image, centre, length, cv::Scalar(own.colour()), thickness);
  }
  for (auto pixel = image.begin<cv::Vec3b>(); pixel != image.end<cv::Vec3b>(); ++pixel)
    for (int c = 0; c < 3; ++c)
      (*pixel)[c] = cv::saturate_cast<std::uint8_t>((*pixel)[c] + own.below(2 * k_grain + 1) - k_grain);
  return image;
}

}  // namespace ulmus::bench
