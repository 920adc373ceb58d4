#include <array>
#include <csetjmp>
#include <cstdio>

// jpeglib.h needs FILE to be declared.
#include <jpeglib.h>
//
#include <jerror.h>

#include "data/codecs.hpp"

namespace ulmus::detail {
namespace {

constexpr std::string_view k_exif_name("Exif\0", 5);
constexpr unsigned k_largest_marker = 0xffff;

/// An RAII decompressor. libjpeg's error handler must not return, so ours leaves with longjmp.
struct Decompression {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  bool damage = false;     ///< libjpeg has replaced damaged parts
  bool left_over = false;  ///< bytes before the end of the image
  int orientation = 1;

  Decompression() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr any) {
      auto& self = *static_cast<Decompression*>(any->client_data);
      (*self.errors.format_message)(any, self.message.data());
      std::longjmp(self.on_error, 1);
    };
    errors.emit_message = [](j_common_ptr any, int level) {
      auto& self = *static_cast<Decompression*>(any->client_data);
      if (level >= 0 || self.damage || !is_damage(self.errors.msg_code)) return;
      constexpr int k_end_of_image = 0xd9;
      if (self.errors.msg_code == JWRN_EXTRANEOUS_DATA && self.errors.msg_parm.i[1] == k_end_of_image) {
        self.left_over = true;
        return;
      }
      (*self.errors.format_message)(any, self.message.data());
      self.damage = true;
    };
    errors.output_message = [](j_common_ptr) {};
  }
  ~Decompression() { jpeg_destroy_decompress(&info); }
  Decompression(const Decompression&) = delete;
  Decompression& operator=(const Decompression&) = delete;

  /// Ignores warnings about headers that do not affect pixels.
  static bool is_damage(int code) {
    return code != JWRN_ADOBE_XFORM && code != JWRN_BOGUS_ICC && code != JWRN_JFIF_MAJOR && code != JWRN_NOT_SEQUENTIAL;
  }

  void read_orientation() {
    for (const auto* marker = info.marker_list; marker != nullptr; marker = marker->next)
      if (const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
          data.starts_with(k_exif_name)) {
        orientation = exif_orientation(data);
        return;
      }
  }

  /// Returns false with a message if the image cannot be read. This function has no objects with destructors, because
  /// of longjmp.
  bool decode(std::string_view bytes, std::int64_t max_pixels, cv::Mat& image) {
    if (setjmp(on_error) != 0) return false;
    jpeg_create_decompress(&info);
    info.client_data = this;  // jpeg_create_decompress has zeroed everything except the error manager
    jpeg_save_markers(&info, JPEG_APP0 + 1, k_largest_marker);
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    check_size(info.image_width, info.image_height, max_pixels);
    read_orientation();
    const int channels = info.num_components;
    if (channels == 1)
      info.out_color_space = JCS_GRAYSCALE;
    else if (channels == 3 && (info.jpeg_color_space == JCS_YCbCr || info.jpeg_color_space == JCS_RGB))
      info.out_color_space = JCS_EXT_BGR;
    else if (channels == 4 && (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK))
      info.out_color_space = JCS_CMYK;
    else
      throw DecodeError(ImageFault::unsupported, "its colours are neither grey, RGB, YCbCr nor CMYK");
    jpeg_start_decompress(&info);
    image.create(static_cast<int>(info.output_height), static_cast<int>(info.output_width), CV_8UC(channels));
    while (info.output_scanline < info.output_height) {
      unsigned char* row = image.ptr(static_cast<int>(info.output_scanline));
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    return !damage;
  }
};

/// CMYK in JPEG files is inverted: 255 is no ink.
cv::Mat to_bgr(const cv::Mat& cmyk) {
  cv::Mat bgr(cmyk.size(), CV_8UC3);
  for (int y = 0; y < cmyk.rows; ++y) {
    const auto* from = cmyk.ptr<cv::Vec4b>(y);
    auto* to = bgr.ptr<cv::Vec3b>(y);
    for (int x = 0; x < cmyk.cols; ++x)
      for (int c = 0; c < 3; ++c)
        to[x][2 - c] = static_cast<std::uint8_t>(from[x][3] - ((255 - from[x][c]) * from[x][3] >> 8));
  }
  return bgr;
}

}  // namespace

RawImage decode_jpeg(std::string_view bytes, std::int64_t max_pixels) {
  RawImage image;
  Decompression decompression;
  if (!decompression.decode(bytes, max_pixels, image.pixels)) damaged(decompression.message.data());
  if (image.pixels.channels() == 4) image.pixels = to_bgr(image.pixels);
  image.orientation = decompression.orientation;
  image.left_over = decompression.left_over;
  return image;
}

}  // namespace ulmus::detail
