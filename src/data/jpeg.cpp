#include "data/jpeg.hpp"

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdio>

// jpeglib.h needs FILE before it.
#include <jpeglib.h>

namespace ulmus::detail {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t k_exif_name = 6;  // "Exif" and two zeros, which OpenCV passes over unread
constexpr std::string_view k_xmp_name = "http://ns.adobe.com/";
constexpr unsigned k_largest_marker = 0xffff;
constexpr std::int64_t k_most_pixels = std::int64_t{1} << 30;  // of cv::imdecode

/// A reader of 16 and 32 bit numbers; 0 beyond the end.
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

/// Whether an EXIF segment (TIFF 6.0 inside of it) says that the image needs no turning: orientation 1, or none.
bool says_upright(std::string_view exif) {
  constexpr std::uint32_t k_orientation = 0x0112, k_short = 3, k_upright = 1;
  const std::string_view order = exif.substr(0, 2);
  if (order != "II" && order != "MM") return false;
  const TiffBytes tiff{exif, order == "II"};
  const std::size_t directory = tiff.at(4, 4);
  if (tiff.at(2, 2) != 42 || directory < 8 || directory + 2 > exif.size()) return false;
  const std::size_t entries = tiff.at(directory, 2);
  if (directory + 2 + 12 * entries > exif.size()) return false;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (tiff.at(entry, 2) == k_orientation && (tiff.at(entry + 2, 2) != k_short || tiff.at(entry + 8, 2) != k_upright))
      return false;
  }
  return true;
}

/// A decompression that frees itself. libjpeg reports errors by not returning from a function, so we leave by longjmp.
struct Decompression {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};

  Decompression() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr any) {
      std::longjmp(static_cast<Decompression*>(any->client_data)->on_error, 1);
    };
    errors.output_message = [](j_common_ptr) {};
  }
  ~Decompression() { jpeg_destroy_decompress(&info); }
  Decompression(const Decompression&) = delete;
  Decompression& operator=(const Decompression&) = delete;

  bool upright() const {
    for (const auto* marker = info.marker_list; marker != nullptr; marker = marker->next)
      if (const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
          !data.starts_with(k_xmp_name) && !says_upright(data.substr(std::min(data.size(), k_exif_name))))
        return false;
    return true;
  }

  /// False where the file is none of those we take. No object of this function has a destructor, for longjmp's sake.
  bool decode(std::string_view bytes, cv::Mat& image) {
    if (setjmp(on_error) != 0) return false;
    jpeg_create_decompress(&info);
    info.client_data = this;  // creating it has set all to 0 but the error manager
    jpeg_save_markers(&info, JPEG_APP0 + 1, k_largest_marker);
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    const bool grey = info.num_components == 1;
    if (!grey && (info.num_components != 3 || (info.jpeg_color_space != JCS_YCbCr && info.jpeg_color_space != JCS_RGB)))
      return false;
    if (std::int64_t{info.image_width} * info.image_height > k_most_pixels || !upright()) return false;
    info.out_color_space = grey ? JCS_GRAYSCALE : JCS_EXT_BGR;
    jpeg_start_decompress(&info);
    image.create(static_cast<int>(info.output_height), static_cast<int>(info.output_width), grey ? CV_8UC1 : CV_8UC3);
    while (info.output_scanline < info.output_height) {
      unsigned char* row = image.ptr(static_cast<int>(info.output_scanline));
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    return errors.num_warnings == 0;  // a warning is damage that libjpeg has painted over
  }
};

}  // namespace

cv::Mat decode_clean_jpeg(std::string_view bytes) {
  if (!bytes.starts_with("\xff\xd8\xff"sv)) return {};
  cv::Mat image;
  Decompression decompression;
  if (!decompression.decode(bytes, image)) return {};
  return image;
}

}  // namespace ulmus::detail
