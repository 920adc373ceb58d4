#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <vector>

#include "data/codecs.hpp"

namespace ulmus::detail {
namespace {

/// An RAII reader. libpng reports errors with longjmp, as our libjpeg handler does.
struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::string_view rest;
  std::array<char, 128> message{};

  explicit PngReader(std::string_view bytes) : rest(bytes) {
    png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp reader, png_const_charp text) {
          auto& self = *static_cast<PngReader*>(png_get_error_ptr(reader));
          std::strncpy(self.message.data(), text, self.message.size() - 1);
          png_longjmp(reader, 1);
        },
        [](png_structp, png_const_charp) {});
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) throw std::bad_alloc();
    png_set_read_fn(png, this, [](png_structp reader, png_bytep to, std::size_t size) {
      auto& self = *static_cast<PngReader*>(png_get_io_ptr(reader));
      if (size > self.rest.size()) png_error(reader, "the file ends early");
      std::memcpy(to, self.rest.data(), size);
      self.rest.remove_prefix(size);
    });
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // our own limit applies to the product
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  /// Returns false with a message. This function has no objects with destructors, because of longjmp.
  bool decode(std::int64_t max_pixels, cv::Mat& image, std::vector<png_bytep>& rows) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_read_info(png, info);
    const png_uint_32 width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    check_size(width, height, max_pixels);
    png_set_expand(png);  // palettes, fewer than 8 bits, transparent colours
    if (png_get_bit_depth(png, info) == 16) png_set_swap(png);
    png_set_bgr(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const int depth = png_get_bit_depth(png, info) == 16 ? CV_16U : CV_8U;
    image.create(static_cast<int>(height), static_cast<int>(width), CV_MAKETYPE(depth, png_get_channels(png, info)));
    rows.resize(height);
    for (png_uint_32 y = 0; y < height; ++y) rows[y] = image.ptr(static_cast<int>(y));
    png_read_image(png, rows.data());
    png_read_end(png, info);
    return true;
  }

  int orientation() const {
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(png, info, &size, &exif) == 0) return 1;
    return exif_orientation({reinterpret_cast<const char*>(exif), size});
  }
};

/// Returns whether the chunk acTL, which libpng does not know, announces frames before the first image data.
bool is_animated(std::string_view bytes) {
  constexpr std::size_t k_signature = 8, k_around = 12;  // size of a chunk's length, name and checksum
  for (std::size_t at = k_signature; at + k_around <= bytes.size();) {
    const std::string_view name = bytes.substr(at + 4, 4);
    if (name == "acTL") return true;
    if (name == "IDAT") return false;
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[at + i]);
    at += k_around + size;
  }
  return false;
}

}  // namespace

RawImage decode_png(std::string_view bytes, std::int64_t max_pixels) {
  PngReader reader(bytes);
  RawImage image;
  std::vector<png_bytep> rows;
  if (!reader.decode(max_pixels, image.pixels, rows)) damaged(reader.message.data());
  image.orientation = reader.orientation();
  image.animated = is_animated(bytes);
  return image;
}

}  // namespace ulmus::detail
