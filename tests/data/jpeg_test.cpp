#include "data/jpeg.hpp"

#include <gtest/gtest.h>

#include <opencv2/imgproc.hpp>

#include "data/image_files.hpp"

namespace ulmus::detail {
namespace {

using test::encode_image;
using test::with_orientation;

/// Colours and edges of every frequency, of an odd size.
cv::Mat picture(int channels) {
  cv::Mat image(37, 51, CV_8UC(channels));
  cv::theRNG().state = 7;
  cv::randu(image, 0, 256);
  cv::GaussianBlur(image, image, {3, 3}, 0);
  return image;
}

cv::Mat with_opencv(const std::string& bytes) {
  return cv::imdecode(cv::Mat(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data())),
                      cv::IMREAD_ANYCOLOR);
}

bool same(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

TEST(Jpeg, HasTheBitsOfOpenCv) {
  for (const int channels : {1, 3})
    for (const int quality : {30, 75, 95, 100})
      for (const int progressive : {0, 1}) {
        const std::string bytes = encode_image(".jpg", picture(channels),
                                               {cv::IMWRITE_JPEG_QUALITY, quality, cv::IMWRITE_JPEG_PROGRESSIVE,
                                                progressive, cv::IMWRITE_JPEG_RST_INTERVAL, progressive == 0 ? 2 : 0});
        const cv::Mat decoded = decode_clean_jpeg(bytes);
        ASSERT_EQ(decoded.channels(), channels);
        EXPECT_TRUE(same(decoded, with_opencv(bytes))) << channels << ' ' << quality << ' ' << progressive;
      }
}

TEST(Jpeg, TakesUprightImagesOnly) {
  const std::string bytes = encode_image(".jpg", picture(3));
  for (const char* order : {"II", "MM"}) {
    EXPECT_TRUE(same(decode_clean_jpeg(with_orientation(bytes, 1, order)), with_opencv(bytes))) << order;
    for (char orientation = 2; orientation <= 8; ++orientation)
      EXPECT_TRUE(decode_clean_jpeg(with_orientation(bytes, orientation, order)).empty()) << order << +orientation;
  }
  EXPECT_TRUE(decode_clean_jpeg(with_orientation(bytes, 1, "MM").replace(12, 2, "XX")).empty());
}

TEST(Jpeg, LeavesDamageAndOtherFormatsToTheCaller) {
  const std::string bytes = encode_image(".jpg", picture(3));
  for (std::size_t size = 0; size < bytes.size(); size += 7)
    EXPECT_TRUE(decode_clean_jpeg(bytes.substr(0, size)).empty()) << size;
  std::string damaged = bytes;
  damaged.replace(bytes.size() / 2, 8, std::string(8, '\xff'));
  EXPECT_TRUE(decode_clean_jpeg(damaged).empty());
  EXPECT_TRUE(decode_clean_jpeg(encode_image(".png", picture(3))).empty());
}

}  // namespace
}  // namespace ulmus::detail
