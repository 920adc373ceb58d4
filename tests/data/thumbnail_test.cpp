#include "ulmus/data/thumbnail.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <opencv2/imgcodecs.hpp>
#include <vector>

#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/data/npy_writer.hpp"

namespace ulmus {
namespace {

cv::Mat decoded(const std::string& jpeg) {
  const std::vector<char> bytes(jpeg.begin(), jpeg.end());
  return cv::imdecode(bytes, cv::IMREAD_UNCHANGED);
}

TEST(Thumbnail, KeepsColoursAndProportions) {
  // Red above, blue below, planes first.
  const ImageShape shape{.channels = 3, .height = 200, .width = 100};
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.pixels()), 0);
  const std::size_t plane = 200 * 100;
  std::fill_n(pixels.begin(), plane / 2, std::uint8_t{255});
  std::fill_n(pixels.begin() + static_cast<std::ptrdiff_t>(2 * plane + plane / 2), plane / 2, std::uint8_t{255});
  const cv::Mat image = decoded(jpeg_thumbnail(pixels, shape, 96));
  ASSERT_EQ(image.rows, 96);
  ASSERT_EQ(image.cols, 48);
  const auto above = image.at<cv::Vec3b>(20, 24), below = image.at<cv::Vec3b>(76, 24);  // BGR
  EXPECT_GT(above[2], 240);
  EXPECT_LT(above[0], 15);
  EXPECT_GT(below[0], 240);
  EXPECT_LT(below[2], 15);
}

TEST(Thumbnail, DoesNotEnlarge) {
  const ImageShape shape{.channels = 1, .height = 28, .width = 28};
  const cv::Mat image = decoded(jpeg_thumbnail(std::vector<std::uint8_t>(28 * 28, 100), shape, 96));
  EXPECT_EQ(image.size(), cv::Size(28, 28));
  EXPECT_EQ(image.channels(), 1);
  EXPECT_NEAR(image.at<std::uint8_t>(14, 14), 100, 2);
}

TEST(Thumbnail, OtherChannelsAreRefused) {
  const ImageShape shape{.channels = 2, .height = 2, .width = 2};
  test::expect_error(ErrorKind::usage, {"2 channels"},
                     [&] { jpeg_thumbnail(std::vector<std::uint8_t>(8), shape, 96); });
}

TEST(NpyWriter, WritesWhatNumPyWrites) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.npy";
  const std::int64_t shape[] = {2, 3}, vector[] = {3};
  const float values[] = {1, 2, 3, 4, 5, 6};
  NpyWriter writer(path, "<f4", shape);
  writer.write({reinterpret_cast<const char*>(values), 8});
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THROW(writer.commit(), std::logic_error);
  writer.write({reinterpret_cast<const char*>(values) + 8, 16});
  writer.commit();
  const std::string bytes = read_file(path);
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(bytes.substr(10, 58), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, )");
  ASSERT_EQ(bytes.size(), 128u + 24u);
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_EQ(std::memcmp(bytes.data() + 128, values, 24), 0);
  NpyWriter one(folder.path() / "y.npy", "<i8", vector);
  one.write(std::string(24, '\0'));
  one.commit();
  EXPECT_NE(read_file(folder.path() / "y.npy").find("'shape': (3, )"), std::string::npos);
}

}  // namespace
}  // namespace ulmus
