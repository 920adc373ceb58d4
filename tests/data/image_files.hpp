#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

namespace ulmus::test {

/// The bytes of an image file; `options` are pairs of cv::ImwriteFlags and their values.
inline std::string encode_image(const std::string& extension, const cv::Mat& image,
                                const std::vector<int>& options = {}) {
  std::vector<std::uint8_t> bytes;
  cv::imencode(extension, image, bytes, options);
  return {bytes.begin(), bytes.end()};
}

/// A JPEG file with an EXIF segment that contains `orientation`, in the byte order "II" or "MM".
inline std::string with_orientation(const std::string& jpeg, char orientation, const std::string& order = "II") {
  using namespace std::string_literals;
  // A TIFF directory with one entry: tag 0x0112, one short.
  const std::string tiff = order == "II" ? "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"s + orientation + "\0\0\0"s
                                         : "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"s + orientation + "\0\0"s;
  const std::string segment = "Exif\0\0"s + tiff + std::string(4, '\0');
  return jpeg.substr(0, 2) + "\xff\xe1\0"s + static_cast<char>(segment.size() + 2) + segment + jpeg.substr(2);
}

inline cv::Mat colour(int height, int width, int red, int green, int blue) {
  return {height, width, CV_8UC3, cv::Scalar(blue, green, red)};
}

inline cv::Mat grey(int height, int width, int value) { return {height, width, CV_8UC1, cv::Scalar(value)}; }

}  // namespace ulmus::test
