#include "ulmus/data/augment.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "data/image_ops.hpp"
#include "data/policies.hpp"

namespace ulmus {
namespace {

using detail::Image;

void random_crop(const Image& image, std::int64_t pad, Stream& stream) {
  const auto offsets = static_cast<std::uint64_t>(2 * pad + 1);
  const auto top = static_cast<std::int64_t>(stream.below(offsets));
  const auto left = static_cast<std::int64_t>(stream.below(offsets));
  shift(image, pad - top, pad - left);
}

/// A part is never larger than the image, so no shrinking is needed. The exact interpolation gives the same bits on
/// every machine.
void random_resized_crop(const Image& image, double smallest_share, Stream& stream) {
  const CropBox chosen = random_crop(image.shape.height, image.shape.width, smallest_share, stream);
  const cv::Rect part(static_cast<int>(chosen.left), static_cast<int>(chosen.top), static_cast<int>(chosen.width),
                      static_cast<int>(chosen.height));
  image.each_plane([&](cv::Mat plane) {
    cv::Mat result;
    cv::resize(plane(part), result, plane.size(), 0, 0, cv::INTER_LINEAR_EXACT);
    result.copyTo(plane);
  });
}

void random_jitter(const Image& image, const Augmentation::Jitter& jitter, Stream& stream) {
  const std::array<double, 4> ranges{jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue};
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i] > 0) order.push_back(i);
  stream.shuffle(std::span(order));
  for (const std::size_t i : order) {
    const double u = stream.uniform();
    const double least = std::max(0.0, 1 - ranges[i]);
    const double f = least + u * (1 + ranges[i] - least);
    if (i == 0) brightness(image, f);
    if (i == 1) contrast(image, f);
    if (i == 2) saturation(image, f);
    if (i == 3) turn_hue(image, static_cast<int>(std::lround(256 * (2 * u - 1) * jitter.hue)));
  }
}

void random_cutout(const Image& image, std::int64_t length, Stream& stream) {
  const auto y = static_cast<int>(stream.below(static_cast<std::uint64_t>(image.shape.height)));
  const auto x = static_cast<int>(stream.below(static_cast<std::uint64_t>(image.shape.width)));
  const auto side = static_cast<int>(length);
  const cv::Rect square(x - side / 2, y - side / 2, side, side);
  image.each_plane([&](cv::Mat plane) { plane(square & cv::Rect({0, 0}, plane.size())) = 0; });
}

}  // namespace

void augment(const Augmentation& a, std::span<std::uint8_t> pixels, const ImageShape& shape, Stream stream) {
  const Image image{pixels, shape};
  if (a.pad > 0) random_crop(image, a.pad, stream);
  if (a.smallest_share > 0) random_resized_crop(image, a.smallest_share, stream);
  if (a.flip && stream.below(2) == 1) image.each_plane([](cv::Mat plane) { cv::flip(plane, plane, 1); });
  if (a.jitter.any()) random_jitter(image, a.jitter, stream);
  if (a.autoaugment) detail::auto_augment(image, stream);
  if (a.operations > 0) detail::rand_augment(image, a.operations, a.strength, stream);
  if (a.cutout > 0) random_cutout(image, a.cutout, stream);
}

CropBox random_crop(std::int64_t height, std::int64_t width, double smallest_share, Stream& stream) {
  constexpr double k_widest = 4.0 / 3;
  const auto rows = static_cast<double>(height), columns = static_cast<double>(width);
  for (int tries = 0; tries < 10; ++tries) {
    const double area = rows * columns * (smallest_share + (1 - smallest_share) * stream.uniform());
    const double ratio = std::exp(std::log(k_widest) * (2 * stream.uniform() - 1));
    const std::int64_t w = std::llround(std::sqrt(area * ratio)), h = std::llround(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const auto top = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(height - h + 1)));
    const auto left = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(width - w + 1)));
    return {.top = top, .left = left, .height = h, .width = w};
  }
  const std::int64_t w = std::llround(std::min(columns, rows * k_widest));
  const std::int64_t h = std::llround(std::min(rows, columns * k_widest));
  return {.top = (height - h) / 2, .left = (width - w) / 2, .height = h, .width = w};
}

}  // namespace ulmus
