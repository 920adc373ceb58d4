#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

namespace ulmus::test {

/// The bytes of an image file.
inline std::string encode_image(const std::string& extension, const cv::Mat& image) {
  std::vector<std::uint8_t> bytes;
  cv::imencode(extension, image, bytes);
  return {bytes.begin(), bytes.end()};
}

inline cv::Mat colour(int height, int width, int red, int green, int blue) {
  return {height, width, CV_8UC3, cv::Scalar(blue, green, red)};
}

inline cv::Mat grey(int height, int width, int value) { return {height, width, CV_8UC1, cv::Scalar(value)}; }

}  // namespace ulmus::test
