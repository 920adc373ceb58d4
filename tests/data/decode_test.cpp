#include "data/decode.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <functional>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "data/image_files.hpp"

namespace ulmus::detail {
namespace {

using namespace std::string_literals;
using test::encode_image;
using test::with_orientation;

/// Colours and edges of every frequency, with odd sizes.
cv::Mat picture(int type = CV_8UC3, cv::Size size = {51, 37}) {
  cv::Mat image(size, type);
  cv::theRNG().state = 7;
  cv::randu(image, 0, CV_MAT_DEPTH(type) == CV_16U ? 65536 : 256);
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

DecodedImage decoded(const std::string& bytes, const DecodeOptions& options = {}) {
  return decode_image(bytes, options);
}

/// The reason why decoding fails; "" if it succeeds.
std::string refusal(const std::string& bytes, const DecodeOptions& options = {}) {
  try {
    decode_image(bytes, options);
    return "";
  } catch (const DecodeError& error) {
    return error.what();
  }
}

std::string number(std::uint32_t value, int size, bool big_endian = false) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * (big_endian ? size - 1 - i : i) & 0xff);
  return bytes;
}

std::string exif(char orientation) {
  return "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"s + orientation + "\0\0\0\0\0\0\0"s;
}

std::string png_chunk(const std::string& name, const std::string& data) {
  const std::string body = name + data;
  const auto sum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const unsigned char*>(body.data()), static_cast<unsigned>(body.size())));
  return number(static_cast<std::uint32_t>(data.size()), 4, true) + body + number(sum, 4, true);
}

constexpr std::size_t k_png_header = 33;  // signature and IHDR

/// A PNG file with another chunk after its header.
std::string with_chunk(const std::string& png, const std::string& name, const std::string& data) {
  return png.substr(0, k_png_header) + png_chunk(name, data) + png.substr(k_png_header);
}

std::string png_of_size(std::uint32_t width, std::uint32_t height) {
  return "\x89PNG\r\n\x1a\n"s + png_chunk("IHDR", number(width, 4, true) + number(height, 4, true) + "\x08\0\0\0\0"s) +
         png_chunk("IDAT", "") + png_chunk("IEND", "");
}

std::string riff_chunk(const std::string& name, const std::string& data) {
  return name + number(static_cast<std::uint32_t>(data.size()), 4) + data + std::string(data.size() % 2, '\0');
}

/// An extended WebP file of 3 x 2 pixels.
std::string webp(std::uint8_t flags, const std::string& chunks) {
  return riff_chunk("RIFF", "WEBP" + riff_chunk("VP8X", static_cast<char>(flags) + "\0\0\0\x02\0\0\x01\0\0"s) + chunks);
}

/// A TIFF page with short fields and its pixels in one strip.
struct TiffPage {
  std::uint16_t width = 3, height = 2, bits = 8, photometric = 1, samples = 1, orientation = 1, format = 1;
  int extra = -1;  ///< kind of the last sample
  std::string pixels;
};

std::string tiff(const std::vector<TiffPage>& pages) {
  std::string file = "II*\0"s + number(8, 4);
  for (std::size_t p = 0; p < pages.size(); ++p) {
    const TiffPage& page = pages[p];
    std::vector<std::array<std::uint32_t, 2>> fields{
        {256, page.width},       {257, page.height},
        {258, page.bits},        {259, 1},
        {262, page.photometric}, {273, 0},
        {274, page.orientation}, {277, page.samples},
        {278, page.height},      {279, static_cast<std::uint32_t>(page.pixels.size())}};
    if (page.extra >= 0) fields.push_back({338, static_cast<std::uint32_t>(page.extra)});
    fields.push_back({339, page.format});
    const auto end = static_cast<std::uint32_t>(file.size() + 2 + 12 * fields.size() + 4);
    std::string directory = number(static_cast<std::uint32_t>(fields.size()), 2);
    std::string lists;
    for (auto& [tag, value] : fields) {
      if (tag == 273) value = end + (page.samples > 2 ? 4U * page.samples : 0);
      const bool each = (tag == 258 || tag == 339) && page.samples > 2;  // the values do not fit into the entry
      directory += number(tag, 2) + number(tag == 273 || tag == 279 ? 4 : 3, 2);
      directory += number((tag == 258 || tag == 339) ? page.samples : 1, 4);
      if (each) {
        directory += number(end + static_cast<std::uint32_t>(lists.size()), 4);
        for (int s = 0; s < page.samples; ++s) lists += number(value, 2);
      } else {
        directory +=
            tag == 273 || tag == 279 ? number(value, 4) : number(value, 2) + number(page.samples == 2 ? value : 0, 2);
      }
    }
    const std::uint32_t next =
        p + 1 < pages.size() ? end + static_cast<std::uint32_t>(lists.size() + page.pixels.size()) : 0;
    file += directory + number(next, 4) + lists + page.pixels;
  }
  return file;
}

TEST(Decode, HasTheBitsOfOpenCv) {
  for (const int type : {CV_8UC1, CV_8UC3}) {
    for (const int quality : {30, 75, 95, 100})
      for (const int progressive : {0, 1}) {
        const std::string bytes = encode_image(".jpg", picture(type),
                                               {cv::IMWRITE_JPEG_QUALITY, quality, cv::IMWRITE_JPEG_PROGRESSIVE,
                                                progressive, cv::IMWRITE_JPEG_RST_INTERVAL, progressive == 0 ? 2 : 0});
        EXPECT_TRUE(same(decoded(bytes).pixels, with_opencv(bytes))) << type << ' ' << quality << ' ' << progressive;
      }
    for (const char* ending : {".png", ".tif", ".bmp", ".ppm", ".pgm", ".webp"}) {
      if (ending == (type == CV_8UC3 ? ".pgm"s : ".ppm"s)) continue;
      const std::string bytes = encode_image(ending, picture(type));
      EXPECT_TRUE(same(decoded(bytes).pixels, with_opencv(bytes))) << type << ' ' << ending;
    }
  }
}

TEST(Decode, TurnsEveryFormatThatCarriesAnOrientationAlike) {
  const cv::Mat image = picture(CV_8UC1, {3, 2});
  const std::string pixels(image.datastart, image.dataend);
  const std::string jpeg = encode_image(".jpg", picture());
  const std::string png = encode_image(".png", image);
  const std::string still = encode_image(".webp", picture(CV_8UC3, {3, 2}), {cv::IMWRITE_WEBP_QUALITY, 101});
  const std::string vp8 = still.substr(12);
  for (char orientation = 1; orientation <= 8; ++orientation) {
    for (const char* order : {"II", "MM"}) {
      const std::string bytes = with_orientation(jpeg, orientation, order);
      EXPECT_TRUE(same(decoded(bytes).pixels, with_opencv(bytes))) << order << +orientation;
    }
    // The JPEG rotated by OpenCV is the reference for the others.
    cv::Mat expected;
    const cv::Mat places = (cv::Mat_<std::uint8_t>(2, 3) << 0, 1, 2, 3, 4, 5);
    const auto turned_as = [&](const cv::Mat& from) {
      cv::Mat big, turned;
      cv::resize(places * 40, big, {48, 32}, 0, 0, cv::INTER_NEAREST);
      const cv::Mat map =
          with_opencv(with_orientation(encode_image(".jpg", big, {cv::IMWRITE_JPEG_QUALITY, 100}), orientation, "II"));
      turned.create(map.rows / 16, map.cols / 16, from.type());
      for (int y = 0; y < turned.rows; ++y)
        for (int x = 0; x < turned.cols; ++x) {
          const int place = (map.at<std::uint8_t>(16 * y + 8, 16 * x + 8) + 20) / 40;
          from.row(place / 3).col(place % 3).copyTo(turned.row(y).col(x));
        }
      return turned;
    };
    expected = turned_as(image);
    EXPECT_TRUE(same(decoded(with_chunk(png, "eXIf", exif(orientation))).pixels, expected)) << "png " << +orientation;
    EXPECT_TRUE(same(decoded(tiff({{.orientation = static_cast<std::uint16_t>(orientation), .pixels = pixels}})).pixels,
                     expected))
        << "tiff " << +orientation;
    EXPECT_TRUE(
        same(decoded(webp(0x08, vp8 + riff_chunk("EXIF", exif(orientation)))).pixels, turned_as(with_opencv(still))))
        << "webp " << +orientation;
  }
  EXPECT_TRUE(same(decoded(with_orientation(jpeg, 6, "MM").replace(12, 2, "XX")).pixels, with_opencv(jpeg)));
}

TEST(Decode, SixteenBitsAreScaledByTheBitsInUse) {
  const cv::Mat deep = (cv::Mat_<std::uint16_t>(1, 4) << 0, 2048, 4095, 600);
  for (const char* ending : {".png", ".tif", ".pgm"}) {
    const std::string bytes = encode_image(ending, deep);
    const DecodedImage full = decoded(bytes);
    EXPECT_EQ(full.traits.bits, 12) << ending;
    EXPECT_TRUE(same(full.pixels, (cv::Mat_<std::uint8_t>(1, 4) << 0, 8, 16, 2))) << ending << full.pixels;
    EXPECT_TRUE(same(decoded(bytes, {.bits = 12}).pixels, (cv::Mat_<std::uint8_t>(1, 4) << 0, 128, 255, 37)));
    EXPECT_NE(refusal(bytes, {.bits = 11}).find("use 12 bits, expected 11"), std::string::npos) << ending;
  }
  const cv::Mat low = (cv::Mat_<std::uint16_t>(1, 2) << 7, 255);
  EXPECT_EQ(decoded(encode_image(".png", low)).traits.bits, 8);
  EXPECT_TRUE(same(decoded(encode_image(".png", low), {.bits = 8}).pixels, (cv::Mat_<std::uint8_t>(1, 2) << 7, 255)));
  const cv::Mat colours(2, 2, CV_16UC3, cv::Scalar(257, 2 * 257, 65535));
  for (const char* ending : {".png", ".tif", ".ppm"})
    EXPECT_TRUE(same(decoded(encode_image(ending, colours)).pixels, cv::Mat(2, 2, CV_8UC3, cv::Scalar(1, 2, 255))));
  EXPECT_EQ(decoded(encode_image(".png", picture())).traits.bits, 0);
}

TEST(Decode, TransparencyIsComposedOnWhite) {
  const cv::Mat red(1, 1, CV_8UC4, cv::Scalar(0, 0, 200, 51));  // alpha is one fifth
  const cv::Mat expected(1, 1, CV_8UC3, cv::Scalar(204, 204, 244));
  for (const DecodedImage& image :
       {decoded(encode_image(".png", red)),
        decoded(
            tiff({{.width = 1, .height = 1, .photometric = 2, .samples = 4, .extra = 2, .pixels = "\xc8\0\0\x33"s}})),
        decoded(tiff(
            {{.width = 1, .height = 1, .photometric = 2, .samples = 4, .extra = 1, .pixels = "\x28\0\0\x33"s}}))}) {
    EXPECT_TRUE(same(image.pixels, expected)) << image.pixels;
    EXPECT_TRUE(image.traits.transparent);
  }
  const cv::Mat invisible(8, 8, CV_8UC4, cv::Scalar(1, 2, 3, 0));
  EXPECT_TRUE(same(decoded(encode_image(".webp", invisible)).pixels, cv::Mat(8, 8, CV_8UC3, cv::Scalar::all(255))));
  const DecodedImage grey = decoded(tiff({{.width = 1, .height = 1, .samples = 2, .extra = 2, .pixels = "\0\0"s}}));
  EXPECT_TRUE(same(grey.pixels, cv::Mat(1, 1, CV_8UC1, cv::Scalar(255)))) << grey.pixels;
  const cv::Mat deep(1, 1, CV_16UC4, cv::Scalar(0, 0, 4095, 65535));
  const DecodedImage opaque = decoded(encode_image(".png", deep), {.bits = 12});
  EXPECT_TRUE(same(opaque.pixels, cv::Mat(1, 1, CV_8UC3, cv::Scalar(0, 0, 255))));
  EXPECT_FALSE(opaque.traits.transparent) << "an alpha of one everywhere hides nothing";
}

TEST(Decode, APaletteMayBeTransparent) {
  const auto file = [](const std::string& transparency) {
    return "\x89PNG\r\n\x1a\n"s + png_chunk("IHDR", number(2, 4, true) + number(1, 4, true) + "\x08\x03\0\0\0"s) +
           png_chunk("PLTE", "\x0a\x14\x1e\x28\x32\x3c") + transparency +
           png_chunk("IDAT", "\x78\x01\x01\x03\0\xfc\xff\0\0\x01\0\x04\0\x02"s) + png_chunk("IEND", "");
  };
  cv::Mat expected(1, 2, CV_8UC3);
  expected.at<cv::Vec3b>(0, 0) = {30, 20, 10};
  expected.at<cv::Vec3b>(0, 1) = {60, 50, 40};
  EXPECT_TRUE(same(decoded(file("")).pixels, expected)) << decoded(file("")).pixels;
  expected.at<cv::Vec3b>(0, 0) = {255, 255, 255};
  EXPECT_TRUE(same(decoded(file(png_chunk("tRNS", "\0"s))).pixels, expected));
}

TEST(Decode, OfPagesAndFramesTheFirstIsTakenAndSaid) {
  const std::string page = "\1\2\3\4\5\6"s;
  const DecodedImage stack = decoded(tiff({{.pixels = page}, {.pixels = "\7\7\7\7\7\7"s}}));
  EXPECT_TRUE(stack.traits.paged);
  EXPECT_EQ(stack.pixels.at<std::uint8_t>(0, 0), 1);
  EXPECT_FALSE(decoded(tiff({{.pixels = page}})).traits.paged);

  const cv::Mat red(2, 3, CV_8UC3, cv::Scalar(0, 0, 200)), blue(2, 3, CV_8UC3, cv::Scalar(200, 0, 0));
  const auto frame = [](const cv::Mat& image) {
    return riff_chunk("ANMF", std::string(6, '\0') + "\x02\0\0\x01\0\0\x64\0\0\0"s +
                                  encode_image(".webp", image, {cv::IMWRITE_WEBP_QUALITY, 101}).substr(12));
  };
  const DecodedImage animation =
      decoded(webp(0x02, riff_chunk("ANIM", std::string(6, '\0')) + frame(red) + frame(blue)));
  EXPECT_TRUE(animation.traits.animated);
  EXPECT_TRUE(same(animation.pixels, red)) << animation.pixels;
  const std::string png = encode_image(".png", red);
  EXPECT_TRUE(decoded(with_chunk(png, "acTL", number(2, 4, true) + number(0, 4, true))).traits.animated);
  EXPECT_FALSE(decoded(png).traits.animated);
}

TEST(Decode, SamplesWithoutAMeaningAreRefused) {
  EXPECT_NE(refusal(encode_image(".tif", cv::Mat(2, 2, CV_32FC1, cv::Scalar(0.5)))).find("floating-point"),
            std::string::npos);
  EXPECT_NE(refusal(tiff({{.format = 2, .pixels = "123456"}})).find("signed"), std::string::npos);
  EXPECT_NE(refusal(tiff({{.bits = 12, .pixels = "123456789"}})).find("12 bits"), std::string::npos);
  EXPECT_NE(refusal(tiff({{.photometric = 2, .samples = 7, .pixels = std::string(42, 'x')}})).find("7 samples"),
            std::string::npos);
}

TEST(Decode, OneIsBlackInNetpbmBitmapsAndZeroWhiteInSomeTiffs) {
  EXPECT_TRUE(same(decoded("P1\n# a comment\n2 1\n01").pixels, (cv::Mat_<std::uint8_t>(1, 2) << 255, 0)));
  EXPECT_TRUE(same(decoded("P4 2 1\n\x40").pixels, (cv::Mat_<std::uint8_t>(1, 2) << 255, 0)));
  EXPECT_TRUE(same(decoded("P2 2 1 15 15 3").pixels, (cv::Mat_<std::uint8_t>(1, 2) << 255, 51)));
  EXPECT_TRUE(same(decoded(tiff({{.width = 2, .height = 1, .photometric = 0, .pixels = "\0\xc8"s}})).pixels,
                   (cv::Mat_<std::uint8_t>(1, 2) << 255, 55)));
}

TEST(Decode, DamageAnywhereIsNoticed) {
  for (const char* ending : {".jpg", ".png", ".tif", ".bmp", ".ppm", ".webp"}) {
    const std::string bytes = encode_image(ending, picture());
    ASSERT_EQ(refusal(bytes), "") << ending;
    for (std::size_t size = 0; size + 2 < bytes.size(); size += 7)
      EXPECT_NE(refusal(bytes.substr(0, size)), "") << ending << ' ' << size;
  }
  std::string jpeg = encode_image(".jpg", picture());
  jpeg.replace(jpeg.size() / 2, 8, std::string(8, '\xff'));
  EXPECT_NE(refusal(jpeg).find("damaged"), std::string::npos) << refusal(jpeg);
  std::string png = encode_image(".png", picture());
  png[png.size() / 2] = static_cast<char>(png[png.size() / 2] ^ 1);
  EXPECT_NE(refusal(png).find("damaged"), std::string::npos) << refusal(png);
}

TEST(Decode, BytesBeforeTheEndOfAJpegAreSaidAndNoDamage) {
  const std::string jpeg = encode_image(".jpg", picture());
  const std::string padded = jpeg.substr(0, jpeg.size() - 2) + std::string(7, 'x') + "\xff\xd9";
  EXPECT_FALSE(decode_image(jpeg, {}).traits.left_over);
  const DecodedImage image = decode_image(padded, {});
  EXPECT_TRUE(image.traits.left_over);
  EXPECT_EQ(cv::norm(image.pixels, decode_image(jpeg, {}).pixels, cv::NORM_INF), 0);
}

TEST(Decode, DeclaredPixelsAreLimitedBeforeAnyIsDecoded) {
  std::string jpeg = encode_image(".jpg", picture());
  const std::size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\xea\x60\xea\x60");
  std::string bmp = encode_image(".bmp", picture());
  bmp.replace(18, 8, number(100'000, 4) + number(100'000, 4));
  for (const std::string& bytes : {jpeg, bmp, png_of_size(1'000'000, 1'000'000), "P5 100000 100000 255 "s,
                                   tiff({{.width = 60000, .height = 60000, .pixels = "x"}}),
                                   riff_chunk("RIFF", "WEBP" + riff_chunk("VP8X", "\0\0\0\0\xff\xff\0\xff\xff\0"s) +
                                                          encode_image(".webp", picture()).substr(12))}) {
    const std::string why = refusal(bytes);
    EXPECT_TRUE(why.find("raise max_pixels") != std::string::npos || bytes.starts_with("RIFF")) << why;
    EXPECT_NE(why, "");
  }
  const std::string bytes = encode_image(".png", picture());
  EXPECT_EQ(refusal(bytes, {.max_pixels = 37 * 51}), "");
  EXPECT_NE(refusal(bytes, {.max_pixels = 37 * 51 - 1}).find("51 x 37"), std::string::npos);
}

TEST(Decode, AnImageTooLongToBeResizedIsRefused) {
  const cv::Mat thin(1, 100'000, CV_8UC1, cv::Scalar(0));
  EXPECT_THROW(resize_to_square(thin, 64, k_max_pixels), DecodeError);
  EXPECT_EQ(resize_to_square(thin, 2, k_max_pixels).size(), cv::Size(2, 2));
}

TEST(Decode, SaysWhatOtherContentIs) {
  EXPECT_NE(refusal("GIF89a").find("GIF"), std::string::npos);
  EXPECT_NE(refusal("\0\0\0\x1c"
                    "ftypavif...."s)
                .find("AVIF"),
            std::string::npos);
  EXPECT_NE(refusal("<html><body>404</body></html>").find("HTML"), std::string::npos);
  EXPECT_NE(refusal("").find("empty"), std::string::npos);
}

}  // namespace
}  // namespace ulmus::detail
