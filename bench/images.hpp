#pragma once

#include <cstdint>
#include <opencv2/core.hpp>

namespace ulmus::bench {

/// An image that is made up: edges, gradients and grain, so that a JPEG of quality 85 has half a byte a pixel, as the
/// photographs of ImageNet have. Images of a class have their large colours in common, each its shapes to itself. The
/// same numbers give the same image.
cv::Mat made_up_image(cv::Size size, std::uint64_t label, std::uint64_t number);

constexpr int k_jpeg_quality = 85;

}  // namespace ulmus::bench
