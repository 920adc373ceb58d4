#pragma once

#include <cstdint>
#include <opencv2/core.hpp>

namespace ulmus::bench {

/// A synthetic image with edges, gradients and grain, so that a JPEG of quality 85 has half a byte per pixel, like the
/// photographs of ImageNet. Images of a class share their large-scale colours; each has its own shapes. The same
/// numbers give the same image.
cv::Mat made_up_image(cv::Size size, std::uint64_t label, std::uint64_t number);

constexpr int k_jpeg_quality = 85;

}  // namespace ulmus::bench
