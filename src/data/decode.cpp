#include "data/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <new>
#include <opencv2/imgproc.hpp>

#include "data/codecs.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus::detail {
namespace {

using namespace std::string_view_literals;

/// Reads 16 and 32 bit numbers; 0 beyond the end.
struct TiffBytes {
  std::string_view bytes;
  bool little_endian;

  std::uint32_t at(std::size_t begin, std::size_t size) const {
    if (begin > bytes.size() || size > bytes.size() - begin) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value = value << 8 | static_cast<unsigned char>(bytes[little_endian ? begin + size - 1 - i : begin + i]);
    return value;
  }
};

bool is_bmp(std::string_view bytes) {
  constexpr std::array<unsigned, 7> k_header_sizes{12, 40, 52, 56, 64, 108, 124};
  if (!bytes.starts_with("BM") || bytes.size() < 18) return false;
  return std::ranges::find(k_header_sizes, TiffBytes{bytes, true}.at(14, 4)) != k_header_sizes.end();
}

/// Text may also begin with "P1", so a number or a comment must follow.
bool is_pnm(std::string_view bytes) {
  if (bytes.size() < 4 || bytes[0] != 'P' || bytes[1] < '1' || bytes[1] > '6') return false;
  const std::string_view rest = bytes.substr(2);
  const std::size_t next = rest.find_first_not_of(" \t\r\n\v\f");
  return next != 0 && next != std::string_view::npos && (rest[next] == '#' || (rest[next] >= '0' && rest[next] <= '9'));
}

RawImage decode_raw(std::string_view bytes, std::int64_t max_pixels) {
  if (bytes.size() > std::numeric_limits<int>::max())
    throw DecodeError(ImageFault::too_large, "the file has more than 2 GiB");
  switch (format_of(bytes)) {
    case ImageFormat::jpeg:
      return decode_jpeg(bytes, max_pixels);
    case ImageFormat::png:
      return decode_png(bytes, max_pixels);
    case ImageFormat::tiff:
      return decode_tiff(bytes, max_pixels);
    case ImageFormat::webp:
      return decode_webp(bytes, max_pixels);
    case ImageFormat::bmp:
      return decode_bmp(bytes, max_pixels);
    case ImageFormat::pnm:
      return decode_pnm(bytes, max_pixels);
    case ImageFormat::none:
      break;
  }
  if (bytes.empty()) throw DecodeError(ImageFault::no_image, "the file is empty");
  if (const auto kind = kind_of_file(bytes))
    throw DecodeError(kind->image ? ImageFault::other_format : ImageFault::no_image,
                      fmt::format("it is {}, expected JPEG, PNG, WebP, TIFF, BMP or PNM; {}", kind->name,
                                  kind->image ? "convert it" : "give the image itself"));
  throw DecodeError(ImageFault::no_image, "it begins like no JPEG, PNG, WebP, TIFF, BMP or PNM file");
}

/// The number of bits that the largest colour value needs, at least 8.
int bits_in_use(const cv::Mat& image, int colours) {
  std::uint16_t largest = 0xff;
  for (int y = 0; y < image.rows; ++y) {
    const auto* row = image.ptr<std::uint16_t>(y);
    for (int i = 0; i < image.cols * image.channels(); ++i)
      if (i % image.channels() < colours) largest = std::max(largest, row[i]);
  }
  return std::bit_width(largest);
}

/// 2^bits - 1 becomes 255. Alpha uses all 16 bits.
cv::Mat to_8_bits(const cv::Mat& image, int colours, int bits) {
  cv::Mat narrow(image.size(), CV_8UC(image.channels()));
  const std::uint32_t white = (1U << bits) - 1;
  for (int y = 0; y < image.rows; ++y) {
    const auto* from = image.ptr<std::uint16_t>(y);
    std::uint8_t* to = narrow.ptr(y);
    for (int i = 0; i < image.cols * image.channels(); ++i) {
      const std::uint32_t full = i % image.channels() < colours ? white : 0xffff;
      to[i] = static_cast<std::uint8_t>((from[i] * 255U + full / 2) / full);
    }
  }
  return narrow;
}

/// Composes the image on white and removes alpha, the last channel; reports whether that changed any pixel.
cv::Mat on_white(const cv::Mat& image, bool premultiplied, bool& transparent) {
  const int channels = image.channels(), colours = channels - 1;
  cv::Mat opaque(image.size(), CV_8UC(colours));
  transparent = false;
  for (int y = 0; y < image.rows; ++y) {
    const std::uint8_t* from = image.ptr(y);
    std::uint8_t* to = opaque.ptr(y);
    for (int x = 0; x < image.cols; ++x, from += channels, to += colours) {
      const int alpha = from[colours];
      transparent = transparent || alpha < 255;
      for (int c = 0; c < colours; ++c) {
        const int value = premultiplied ? from[c] + 255 - alpha : (from[c] * alpha + 255 * (255 - alpha) + 127) / 255;
        to[c] = static_cast<std::uint8_t>(std::min(value, 255));
      }
    }
  }
  return opaque;
}

/// EXIF's eight orientations: from 5 on, rows and columns are swapped first.
cv::Mat upright(const cv::Mat& image, int orientation) {
  if (orientation == 1) return image;
  cv::Mat turned = orientation >= 5 ? cv::Mat(image.t()) : image.clone();
  constexpr int k_both = -1, k_upside_down = 0, k_mirrored = 1;
  if (orientation == 3 || orientation == 7) cv::flip(turned, turned, k_both);
  if (orientation == 4 || orientation == 8) cv::flip(turned, turned, k_upside_down);
  if (orientation == 2 || orientation == 6) cv::flip(turned, turned, k_mirrored);
  return turned;
}

DecodedImage decode_known(std::string_view bytes, const DecodeOptions& options) {
  RawImage raw = decode_raw(bytes, options.max_pixels);
  DecodedImage image{.pixels = raw.pixels,
                     .traits = {.paged = raw.paged, .animated = raw.animated, .left_over = raw.left_over}};
  ImageTraits& traits = image.traits;
  const int channels = raw.pixels.channels();
  const bool alpha = channels == 2 || channels == 4;
  const int colours = channels - (alpha ? 1 : 0);
  if (raw.pixels.depth() == CV_16U) {
    traits.bits = bits_in_use(raw.pixels, colours);
    if (options.bits > 0 && traits.bits > options.bits)
      throw DecodeError(ImageFault::too_deep,
                        fmt::format("its samples use {} bits, expected {} (up to {}) as in the "
                                    "data before, or as {} says; convert it",
                                    traits.bits, options.bits, (1 << options.bits) - 1, option_name("image_bits")));
    image.pixels = to_8_bits(raw.pixels, colours, options.bits > 0 ? options.bits : 16);
  }
  if (raw.inverted && !alpha) cv::bitwise_not(image.pixels, image.pixels);
  if (alpha) image.pixels = on_white(image.pixels, raw.premultiplied, traits.transparent);
  image.pixels = upright(image.pixels, raw.orientation);
  return image;
}

/// Converts OpenCV and system exceptions into ours.
template <class Action>
auto guarded(Action action) {
  try {
    return action();
  } catch (const cv::Exception& error) {
    if (error.code == cv::Error::StsNoMem)
      throw DecodeError(ImageFault::no_memory, "there is not enough memory for its pixels");
    throw DecodeError(ImageFault::unsupported, fmt::format("OpenCV refuses it ({})", error.err));
  } catch (const std::bad_alloc&) {
    throw DecodeError(ImageFault::no_memory, "there is not enough memory for its pixels");
  }
}

}  // namespace

std::string_view name_of(ImageFault fault) {
  switch (fault) {
    case ImageFault::no_image:
      return "not an image";
    case ImageFault::other_format:
      return "of another format";
    case ImageFault::damaged:
      return "damaged";
    case ImageFault::unsupported:
      return "unsupported";
    case ImageFault::too_large:
      return "too many pixels";
    case ImageFault::too_deep:
      return "more bits than the data";
    case ImageFault::no_memory:
      return "too little memory";
    case ImageFault::other_size:
      return "of another size";
  }
  return "";
}

void check_size(std::uint64_t width, std::uint64_t height, std::int64_t max_pixels) {
  if (width == 0 || height == 0) damaged("it has no pixel");
  if (height > static_cast<std::uint64_t>(max_pixels) / width)
    throw DecodeError(
        ImageFault::too_large,
        fmt::format("it is said to have {} x {} pixels (width x height), more than the limit of {}; if that is true, "
                    "raise {}",
                    width, height, max_pixels, option_name("max_pixels")));
}

void damaged(std::string_view detail) {
  throw DecodeError(
      ImageFault::damaged,
      fmt::format("truncated or damaged{}", detail.empty() ? std::string() : fmt::format(" ({})", printable(detail))));
}

ImageFormat format_of(std::string_view bytes) {
  if (bytes.starts_with("\xff\xd8\xff"sv)) return ImageFormat::jpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) return ImageFormat::png;
  if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv) || bytes.starts_with("II+\0"sv) ||
      bytes.starts_with("MM\0+"sv))
    return ImageFormat::tiff;
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return ImageFormat::webp;
  if (is_bmp(bytes)) return ImageFormat::bmp;
  if (is_pnm(bytes)) return ImageFormat::pnm;
  return ImageFormat::none;
}

int exif_orientation(std::string_view exif) {
  constexpr std::uint32_t k_orientation = 0x0112, k_short = 3;
  if (exif.starts_with("Exif\0"sv)) exif.remove_prefix(std::min<std::size_t>(6, exif.size()));
  const std::string_view order = exif.substr(0, 2);
  if (order != "II" && order != "MM") return 1;
  const TiffBytes tiff{exif, order == "II"};
  const std::size_t directory = tiff.at(4, 4);
  if (tiff.at(2, 2) != 42 || directory < 8) return 1;
  const std::size_t entries = tiff.at(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > exif.size()) return 1;
    if (tiff.at(entry, 2) != k_orientation || tiff.at(entry + 2, 2) != k_short) continue;
    const std::uint32_t value = tiff.at(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

DecodedImage decode_image(std::string_view bytes, const DecodeOptions& options) {
  return guarded([&] { return decode_known(bytes, options); });
}

cv::Mat resize_to_square(const cv::Mat& image, int side, std::int64_t max_pixels) {
  const int shorter = std::min(image.rows, image.cols);
  cv::Mat resized = image;
  if (shorter != side) {
    const auto scaled = [&](int length) {
      return std::max<std::int64_t>(side, std::llround(static_cast<double>(length) * side / shorter));
    };
    const std::int64_t width = scaled(image.cols), height = scaled(image.rows);
    if (height > max_pixels / width)
      throw DecodeError(
          ImageFault::too_large,
          fmt::format("it is {} x {} pixels (width x height), so long that its shorter side at {} makes it {} x {}, "
                      "more than the limit of {}; cut it, or raise {}",
                      image.cols, image.rows, side, width, height, max_pixels, option_name("max_pixels")));
    guarded([&] {
      cv::resize(image, resized, {static_cast<int>(width), static_cast<int>(height)}, 0, 0,
                 side < shorter ? cv::INTER_AREA : cv::INTER_LINEAR);
      return 0;
    });
  }
  return resized(cv::Rect((resized.cols - side) / 2, (resized.rows - side) / 2, side, side));
}

}  // namespace ulmus::detail
