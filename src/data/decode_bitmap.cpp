/// Formats decoded without a library: Windows bitmaps, and the six of Netpbm.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include "data/codecs.hpp"

namespace ulmus::detail {
namespace {

std::uint32_t little_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  if (at + size > bytes.size()) damaged("the file ends early");
  std::uint32_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

/// Reads the numbers of a Netpbm file, separated by white space and comments.
class PnmText {
 public:
  explicit PnmText(std::string_view text) : rest_(text) {}

  std::uint32_t number() {
    skip_space();
    std::uint32_t value = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && is_digit(rest_[digits]); ++digits) {
      if (value > 100'000'000) damaged("a number is too large");
      value = 10 * value + static_cast<std::uint32_t>(rest_[digits] - '0');
    }
    if (digits == 0) damaged(rest_.empty() ? "the file ends early" : "a number is missing");
    rest_.remove_prefix(digits);
    return value;
  }
  /// A pixel of P1; no space is required between pixels.
  std::uint32_t bit() {
    skip_space();
    if (rest_.empty()) damaged("the file ends early");
    if (rest_[0] != '0' && rest_[0] != '1') damaged("a pixel is neither 0 nor 1");
    const bool one = rest_[0] == '1';
    rest_.remove_prefix(1);
    return one ? 1 : 0;
  }
  /// The bytes after the header and one white space character.
  std::string_view binary() const { return rest_.substr(std::min<std::size_t>(1, rest_.size())); }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == '#' || std::string_view(" \t\r\n\v\f").find(rest_[0]) != std::string::npos))
      rest_.remove_prefix(rest_[0] == '#' ? std::min(rest_.find('\n'), rest_.size()) : 1);
  }

  std::string_view rest_;
};

}  // namespace

RawImage decode_bmp(std::string_view bytes, std::int64_t max_pixels) {
  constexpr std::uint32_t k_core_header = 12, k_rgb = 0, k_bit_fields = 3;
  const auto at = [&](std::size_t place, std::size_t size) { return little_endian(bytes, place, size); };
  const std::uint32_t pixels_at = at(10, 4), header_size = at(14, 4);
  const bool core = header_size == k_core_header;
  const auto width = static_cast<std::int32_t>(core ? at(18, 2) : at(18, 4));
  const auto height = static_cast<std::int32_t>(core ? at(20, 2) : at(22, 4));  // negative: top row first
  const std::uint32_t bits = core ? at(24, 2) : at(28, 2);
  const std::uint32_t compression = core ? k_rgb : at(30, 4);
  if (width <= 0) damaged("its width is not above 0");
  const auto rows = static_cast<std::uint64_t>(std::abs(std::int64_t{height}));
  check_size(static_cast<std::uint64_t>(width), rows, max_pixels);
  if (compression != k_rgb && compression != k_bit_fields)
    throw DecodeError(ImageFault::unsupported, "it is a compressed bitmap; save it uncompressed, or as PNG");
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
    damaged(fmt::format("it has {} bits a pixel", bits));
  const std::uint64_t row_bytes = (static_cast<std::uint64_t>(width) * bits + 31) / 32 * 4;
  if (pixels_at > bytes.size() || row_bytes * rows > bytes.size() - pixels_at) damaged("the file ends early");

  // Masks of blue, green, red and alpha for pixels of 16 or 32 bits.
  std::array<std::uint32_t, 4> masks{0xff, 0xff00, 0xff0000, 0};
  if (bits == 16) masks = {0x1f, 0x3e0, 0x7c00, 0};
  if (compression == k_bit_fields) {
    constexpr std::uint32_t k_with_alpha = 56;
    masks = {at(62, 4), at(58, 4), at(54, 4), header_size >= k_with_alpha ? at(66, 4) : 0};
  }
  std::vector<cv::Vec3b> palette;
  bool grey = bits <= 8;
  if (bits <= 8) {
    const std::uint32_t said = core ? 0 : at(46, 4), most = 1U << bits, entry = core ? 3 : 4;
    const std::size_t begin = 14 + header_size + (header_size == 40 && compression == k_bit_fields ? 12 : 0);
    for (std::uint32_t i = 0; i < (said == 0 ? most : std::min(said, most)); ++i) {
      const std::uint32_t colour = at(begin + i * entry, 3);
      palette.emplace_back(colour & 0xff, colour >> 8 & 0xff, colour >> 16 & 0xff);
      grey = grey && palette.back()[0] == palette.back()[1] && palette.back()[1] == palette.back()[2];
    }
  }
  const bool alpha = bits == 32 && masks[3] != 0;
  const int channels = grey ? 1 : alpha ? 4 : 3;
  const auto channel_of = [&](std::uint32_t pixel, std::size_t channel) {
    const std::uint32_t mask = masks[channel];
    if (mask == 0) return std::uint8_t{0};
    const int shift = std::countr_zero(mask);
    const std::uint64_t largest = mask >> shift, value = (pixel & mask) >> shift;
    return static_cast<std::uint8_t>((value * 255 + largest / 2) / largest);
  };
  RawImage image;
  image.pixels.create(static_cast<int>(rows), width, CV_8UC(channels));
  for (std::uint64_t y = 0; y < rows; ++y) {
    const std::size_t row = pixels_at + row_bytes * (height > 0 ? rows - 1 - y : y);
    std::uint8_t* to = image.pixels.ptr(static_cast<int>(y));
    for (std::uint32_t x = 0; x < static_cast<std::uint32_t>(width); ++x, to += channels) {
      if (bits > 8) {
        const std::uint32_t pixel = at(row + std::size_t{x} * (bits / 8), bits / 8);
        for (int c = 0; c < channels; ++c)
          to[c] = bits == 24 ? static_cast<std::uint8_t>(pixel >> 8 * c & 0xff)
                             : channel_of(pixel, static_cast<std::size_t>(c));
        continue;
      }
      const std::uint32_t per_byte = 8 / bits;
      const std::uint32_t place = at(row + x / per_byte, 1) >> (8 - bits * (x % per_byte + 1)) & ((1U << bits) - 1);
      if (place >= palette.size()) damaged("a pixel is not in its palette");
      for (int c = 0; c < channels; ++c) to[c] = palette[place][c];
    }
  }
  if (!alpha) return image;
  // Programs without support for transparency write zeros.
  cv::Mat opacity;
  cv::extractChannel(image.pixels, opacity, 3);
  if (cv::countNonZero(opacity) == 0)
    cv::insertChannel(cv::Mat(opacity.size(), CV_8UC1, cv::Scalar(255)), image.pixels, 3);
  return image;
}

RawImage decode_pnm(std::string_view bytes, std::int64_t max_pixels) {
  const int kind = bytes[1] - '0';
  const bool bilevel = kind == 1 || kind == 4, text = kind <= 3;
  const int channels = kind == 3 || kind == 6 ? 3 : 1;
  PnmText header(bytes.substr(2));
  const std::uint32_t width = header.number(), height = header.number();
  const std::uint32_t white = bilevel ? 1 : header.number();
  if (white < 1 || white > 0xffff) damaged(fmt::format("its largest value is {}, expected 1 to 65535", white));
  check_size(width, height, max_pixels);
  const bool wide = white > 0xff;
  const std::string_view data = header.binary();
  const std::uint64_t row_bytes = kind == 4 ? (width + 7) / 8 : std::uint64_t{width} * channels * (wide ? 2 : 1);
  // A number in text format takes at least one byte.
  if (text ? std::uint64_t{width} * height * channels > bytes.size() : row_bytes * height > data.size())
    damaged("the file ends early");

  RawImage image;
  image.inverted = bilevel;
  image.pixels.create(static_cast<int>(height), static_cast<int>(width), CV_MAKETYPE(wide ? CV_16U : CV_8U, channels));
  for (std::uint32_t y = 0; y < height; ++y)
    for (std::uint32_t i = 0; i < width * channels; ++i) {
      const auto byte = [&](std::uint64_t at) -> std::uint32_t {
        return static_cast<unsigned char>(data[y * row_bytes + at]);
      };
      std::uint32_t value = 0;
      if (text)
        value = bilevel ? header.bit() : header.number();
      else if (kind == 4)
        value = byte(i / 8) >> (7 - i % 8) & 1;
      else
        value = wide ? byte(2 * std::uint64_t{i}) << 8 | byte(2 * std::uint64_t{i} + 1) : byte(i);
      if (value > white) damaged("a pixel is above its largest value");
      const std::uint32_t column = i / channels * channels + (channels - 1 - i % channels);  // B, G, R
      if (wide)
        image.pixels.ptr<std::uint16_t>(static_cast<int>(y))[column] = static_cast<std::uint16_t>(value);
      else
        image.pixels.ptr(static_cast<int>(y))[column] = static_cast<std::uint8_t>((value * 255 + white / 2) / white);
    }
  return image;
}

}  // namespace ulmus::detail
