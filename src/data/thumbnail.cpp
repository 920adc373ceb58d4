#include "ulmus/data/thumbnail.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

// jpeglib.h needs FILE before it.
#include <jpeglib.h>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

constexpr int k_quality = 80;

/// A compression that frees itself. libjpeg reports errors by not returning from a function, so we leave by longjmp.
struct Compression {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;

  Compression() {
    info.err = jpeg_std_error(&errors);
    errors.error_exit = [](j_common_ptr any) {
      auto& self = *static_cast<Compression*>(any->client_data);
      (*self.errors.format_message)(any, self.message.data());
      std::longjmp(self.on_error, 1);
    };
    errors.output_message = [](j_common_ptr) {};
  }
  ~Compression() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
  Compression(const Compression&) = delete;
  Compression& operator=(const Compression&) = delete;

  /// False if libjpeg fails, with a message. No object of this function has a destructor, for longjmp's sake.
  bool encode(cv::Mat& image) {
    if (setjmp(on_error) != 0) return false;
    jpeg_create_compress(&info);
    info.client_data = this;  // jpeg_create_compress() has set everything but the error manager to 0
    jpeg_mem_dest(&info, &bytes, &size);
    info.image_width = static_cast<JDIMENSION>(image.cols);
    info.image_height = static_cast<JDIMENSION>(image.rows);
    info.input_components = image.channels();
    info.in_color_space = image.channels() == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, k_quality, TRUE);
    info.optimize_coding = TRUE;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
      unsigned char* row = image.ptr(static_cast<int>(info.next_scanline));
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    return true;
  }
};

}  // namespace

std::string jpeg_thumbnail(std::span<const std::uint8_t> pixels, const ImageShape& shape, int side) {
  if (shape.channels != 1 && shape.channels != 3)
    throw Error(ErrorKind::usage,
                fmt::format("an image of {} channels has no thumbnail, expected 1 or 3", shape.channels));
  const int height = static_cast<int>(shape.height), width = static_cast<int>(shape.width);
  std::vector<cv::Mat> planes;
  for (std::int64_t c = 0; c < shape.channels; ++c)
    planes.push_back(
        cv::Mat(height, width, CV_8UC1, const_cast<std::uint8_t*>(pixels.data()) + c * shape.height * shape.width));
  cv::Mat image;
  cv::merge(planes, image);
  if (const int longer = std::max(height, width); longer > side) {
    const auto scaled = [&](int length) {
      return std::max(1, static_cast<int>(std::lround(static_cast<double>(length) * side / longer)));
    };
    cv::Mat small;
    cv::resize(image, small, cv::Size(scaled(width), scaled(height)), 0, 0, cv::INTER_AREA);
    image = small;
  }
  Compression compression;
  if (!compression.encode(image))
    throw Error(ErrorKind::environment,
                fmt::format("libjpeg cannot write a thumbnail: {}", compression.message.data()));
  return {reinterpret_cast<const char*>(compression.bytes), compression.size};
}

}  // namespace ulmus
