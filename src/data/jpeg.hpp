#pragma once

#include <opencv2/core.hpp>
#include <string_view>

namespace ulmus::detail {

/// Decodes a JPEG file with libjpeg-turbo: grey, or colours in the order B, G, R, with the same bits as cv::imdecode in
/// OpenCV 4 (which calls the same library), but without its pass over the pixels that turns RGB into BGR, almost half
/// of the time for an image of 224 x 224 with Debian's build.
///
/// Empty for all that is not a whole, clean, upright JPEG file of these colours: other formats, CMYK, damage of any
/// kind, an EXIF orientation that turns the image or cannot be read. What to do with these is the caller's decision.
cv::Mat decode_clean_jpeg(std::string_view bytes);

}  // namespace ulmus::detail
