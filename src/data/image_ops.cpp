#include "data/image_ops.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <opencv2/imgproc.hpp>

namespace ulmus::detail {
namespace {

/// f x + (1 - f) r, with the same r for all pixels.
void blend(const Image& image, double f, double r) {
  look_up(image.pixels, make_table([&](int x) { return cv::saturate_cast<Byte>(f * x + (1 - f) * r); }));
}

}  // namespace

std::vector<Byte> Image::grey() const {
  const auto size = static_cast<std::size_t>(shape.height * shape.width);
  if (shape.channels == 1) return {pixels.begin(), pixels.end()};
  std::vector<Byte> result(size);
  for (std::size_t i = 0; i < size; ++i)
    result[i] = static_cast<Byte>(
        (19595u * pixels[i] + 38470u * pixels[size + i] + 7471u * pixels[2 * size + i] + 32768u) >> 16);
  return result;
}

void brightness(const Image& image, double f) { blend(image, f, 0); }

void contrast(const Image& image, double f) {
  const std::vector<Byte> grey = image.grey();
  const double sum = static_cast<double>(std::accumulate(grey.begin(), grey.end(), std::int64_t{0}));
  blend(image, f, std::floor(sum / static_cast<double>(grey.size()) + 0.5));
}

void saturation(const Image& image, double f) {
  if (image.shape.channels == 1) return;  // a grey image already is its grey version
  const std::vector<Byte> grey = image.grey();
  std::array<double, 256> own, others;
  for (std::size_t x = 0; x < 256; ++x) {
    own[x] = f * static_cast<double>(x);
    others[x] = (1 - f) * static_cast<double>(x);
  }
  for (std::size_t c = 0; c < 3; ++c) {
    Byte* pixel = image.pixels.data() + c * grey.size();
    for (const Byte r : grey) {
      *pixel = cv::saturate_cast<Byte>(own[*pixel] + others[r]);
      ++pixel;
    }
  }
}

void sharpness(const Image& image, double f) {
  image.each_plane([&](cv::Mat plane) {
    if (plane.rows < 3 || plane.cols < 3) return;
    cv::Mat sums;
    cv::boxFilter(plane, sums, CV_32S, {3, 3}, {-1, -1}, false);
    for (int y = 1; y < plane.rows - 1; ++y) {
      Byte* row = plane.ptr(y);
      const int* sum = sums.ptr<int>(y);
      for (int x = 1; x < plane.cols - 1; ++x)
        row[x] = cv::saturate_cast<Byte>(f * row[x] + (1 - f) * ((sum[x] + 4 * row[x] + 6) / 13));
    }
  });
}

void turn_hue(const Image& image, int shift) {
  std::array<cv::Mat, 3> planes{image.plane(0), image.plane(1), image.plane(2)};
  cv::Mat rgb, hsv;
  cv::merge(planes.data(), planes.size(), rgb);
  cv::cvtColor(rgb, hsv, cv::COLOR_RGB2HSV_FULL);
  for (std::size_t i = 0, end = 3 * hsv.total(); i < end; i += 3) hsv.data[i] = static_cast<Byte>(hsv.data[i] + shift);
  cv::cvtColor(hsv, rgb, cv::COLOR_HSV2RGB_FULL);
  cv::split(rgb, planes.data());
}

void autocontrast(const Image& image) {
  image.each_plane([](cv::Mat plane) {
    const auto [lowest, highest] = std::ranges::minmax(bytes(plane));
    if (highest <= lowest) return;
    const double scale = 255.0 / (highest - lowest);
    const double offset = -lowest * scale;
    look_up(bytes(plane), make_table([&](int x) {
              return static_cast<Byte>(std::clamp(static_cast<int>(x * scale + offset), 0, 255));
            }));
  });
}

void equalize(const Image& image) {
  image.each_plane([](cv::Mat plane) {
    std::array<int, 256> histogram{};
    for (const Byte pixel : bytes(plane)) ++histogram[pixel];
    const int last = *std::ranges::find_if(histogram.rbegin(), histogram.rend(), [](int n) { return n > 0; });
    const int step = (static_cast<int>(plane.total()) - last) / 255;
    if (step == 0) return;
    int below = step / 2;
    look_up(bytes(plane), make_table([&](int x) {
              const int level = below / step;
              below += histogram[static_cast<std::size_t>(x)];
              return static_cast<Byte>(std::min(level, 255));
            }));
  });
}

void warp(const Image& image, const cv::Matx23d& from) {
  image.each_plane([&](cv::Mat plane) {
    cv::Mat result;
    cv::warpAffine(plane, result, from, plane.size(), cv::INTER_NEAREST | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, 0);
    result.copyTo(plane);
  });
}

/// In place: rows are moved in an order that never overwrites a row that is still needed.
void shift(const Image& image, std::int64_t down, std::int64_t right) {
  const auto [channels, height, width] = image.shape;
  const std::int64_t kept = std::max<std::int64_t>(0, width - std::abs(right));
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < height; ++i) {
      const std::int64_t y = down > 0 ? height - 1 - i : i;
      Byte* row = image.pixels.data() + (c * height + y) * width;
      if (y - down < 0 || y - down >= height || kept == 0) {
        std::fill_n(row, width, Byte{0});
        continue;
      }
      const Byte* from = row - down * width;
      std::memmove(row + std::max<std::int64_t>(right, 0), from + std::max<std::int64_t>(-right, 0),
                   static_cast<std::size_t>(kept));
      std::fill_n(right > 0 ? row : row + kept, width - kept, Byte{0});
    }
}

}  // namespace ulmus::detail
