#pragma once

#include <array>
#include <cstdint>
#include <opencv2/core.hpp>
#include <span>
#include <vector>

#include "ulmus/data/dataset.hpp"

/// In-place operations on the planes of an image; formulas in augment.hpp.
namespace ulmus::detail {

using Byte = std::uint8_t;
using LookUpTable = std::array<Byte, 256>;

/// An image to augment, channels first; grey or RGB for colour operations.
struct Image {
  std::span<Byte> pixels;
  const ImageShape& shape;

  cv::Mat plane(std::int64_t c) const {
    return {static_cast<int>(shape.height), static_cast<int>(shape.width), CV_8UC1,
            pixels.data() + c * shape.height * shape.width};
  }

  template <class Operation>
  void each_plane(Operation operation) const {
    for (std::int64_t c = 0; c < shape.channels; ++c) operation(plane(c));
  }

  /// Each pixel's grey, one plane: (19595 R + 38470 G + 7471 B + 32768) >> 16 (ITU-R 601).
  std::vector<Byte> grey() const;
};

template <class Value>
LookUpTable make_table(Value value) {
  LookUpTable table;
  for (int x = 0; x < 256; ++x) table[static_cast<std::size_t>(x)] = value(x);
  return table;
}

inline void look_up(std::span<Byte> pixels, const LookUpTable& table) {
  for (Byte& pixel : pixels) pixel = table[pixel];
}

inline std::span<Byte> bytes(const cv::Mat& plane) { return {plane.data, plane.total()}; }

void brightness(const Image& image, double f);
void contrast(const Image& image, double f);
void saturation(const Image& image, double f);
void sharpness(const Image& image, double f);
/// Rotates the hue by `shift` 256ths of the circle; RGB only.
void turn_hue(const Image& image, int shift);
void autocontrast(const Image& image);
void equalize(const Image& image);

/// Pixel (x, y) of the result is the pixel nearest to (m00 x + m01 y + m02, m10 x + m11 y + m12); black outside.
void warp(const Image& image, const cv::Matx23d& from);
/// Moves the image by `down` and `right`; black outside.
void shift(const Image& image, std::int64_t down, std::int64_t right);

}  // namespace ulmus::detail
