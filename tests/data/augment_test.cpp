#include "ulmus/data/augment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <set>

#include "data/support.hpp"

namespace ulmus {
namespace {

using test::expect_error;
using test::synthetic;

constexpr ImageShape k_rgb{3, 20, 24};
constexpr ImageShape k_grey{1, 9, 11};

/// An image whose pixels the tests define as a function of (channel, row, column).
struct Image {
  ImageShape shape;
  std::vector<std::uint8_t> pixels;

  int operator()(std::int64_t c, std::int64_t y, std::int64_t x) const {
    return pixels[static_cast<std::size_t>((c * shape.height + y) * shape.width + x)];
  }
  int black_outside(std::int64_t c, std::int64_t y, std::int64_t x) const {
    return y < 0 || y >= shape.height || x < 0 || x >= shape.width ? 0 : (*this)(c, y, x);
  }
  int grey(std::int64_t y, std::int64_t x) const {
    if (shape.channels == 1) return (*this)(0, y, x);
    return (19595 * (*this)(0, y, x) + 38470 * (*this)(1, y, x) + 7471 * (*this)(2, y, x) + 32768) / 65536;
  }
};

Image random_image(ImageShape shape, std::uint64_t seed = 0, std::uint64_t levels = 256) {
  Image image{shape, {}};
  Stream stream(seed, "pixels");
  for (std::int64_t i = 0; i < shape.pixels(); ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(stream.below(levels)));
  return image;
}

Image augmented(Image image, const Augmentation& augmentation, Stream stream) {
  augment(augmentation, image.pixels, image.shape, stream);
  return image;
}

using Expected = std::function<double(std::int64_t c, std::int64_t y, std::int64_t x)>;

void expect_pixels(const Image& image, const Expected& expected, double tolerance = 0) {
  for (std::int64_t c = 0; c < image.shape.channels; ++c)
    for (std::int64_t y = 0; y < image.shape.height; ++y)
      for (std::int64_t x = 0; x < image.shape.width; ++x)
        ASSERT_NEAR(image(c, y, x), expected(c, y, x), tolerance) << c << ' ' << y << ' ' << x;
}

double clipped(double value) { return std::clamp(std::nearbyint(value), 0.0, 255.0); }

// ---- single operations, through randaugment with one operation

/// In the order of randaugment's draws.
enum Operation {
  identity,
  shear_x,
  shear_y,
  translate_x,
  translate_y,
  rotate,
  brightness,
  color,
  contrast,
  sharpness,
  posterize,
  solarize,
  autocontrast,
  equalize
};

/// A stream whose first draws are this operation and sign.
Stream stream_of(Operation operation, bool negative) {
  for (std::uint64_t step = 0;; ++step) {
    Stream probe(0, "operation", step);
    if (probe.below(14) == static_cast<std::uint64_t>(operation) && (probe.below(2) == 1) == negative)
      return Stream(0, "operation", step);
  }
}

Image operated(const Image& image, Operation operation, bool negative, std::int64_t m) {
  return augmented(image, {.operations = 1, .strength = m}, stream_of(operation, negative));
}

TEST(Augment, IdentityAndStrengthZeroChangeNothing) {
  const Image image = random_image(k_rgb);
  EXPECT_EQ(operated(image, identity, false, 30).pixels, image.pixels);
  for (const Operation operation : {shear_x, shear_y, translate_x, translate_y, rotate, brightness, color, contrast,
                                    sharpness, posterize, solarize})
    for (const bool negative : {false, true})
      EXPECT_EQ(operated(image, operation, negative, 0).pixels, image.pixels) << operation;
}

TEST(Augment, ShearMovesRowsAndColumnsFromTheCorner) {
  for (const ImageShape& shape : {k_rgb, k_grey})
    for (const bool negative : {false, true}) {
      const Image image = random_image(shape);
      const double slope = negative ? -0.3 : 0.3;
      const auto moved = [&](std::int64_t at, std::int64_t along) {
        return static_cast<std::int64_t>(
            std::floor(static_cast<double>(at) + 0.5 + slope * (static_cast<double>(along) + 0.5)));
      };
      expect_pixels(operated(image, shear_x, negative, 30),
                    [&](auto c, auto y, auto x) { return image.black_outside(c, y, moved(x, y)); });
      expect_pixels(operated(image, shear_y, negative, 30),
                    [&](auto c, auto y, auto x) { return image.black_outside(c, moved(y, x), x); });
    }
}

TEST(Augment, TranslateMovesWholePixels) {
  const Image image = random_image(k_rgb);
  // trunc(24 * 150/331 * 20/30) = 7, trunc(20 * 150/331 * 20/30) = 6
  expect_pixels(operated(image, translate_x, false, 20),
                [&](auto c, auto y, auto x) { return image.black_outside(c, y, x - 7); });
  expect_pixels(operated(image, translate_x, true, 20),
                [&](auto c, auto y, auto x) { return image.black_outside(c, y, x + 7); });
  expect_pixels(operated(image, translate_y, false, 20),
                [&](auto c, auto y, auto x) { return image.black_outside(c, y - 6, x); });
}

TEST(Augment, RotateTurnsAroundTheCentre) {
  for (const bool negative : {false, true}) {
    const Image image = random_image(k_rgb, 3);
    const Image turned = operated(image, rotate, negative, 30);
    const double angle = (negative ? -1 : 1) * std::numbers::pi / 6;
    int compared = 0;
    for (std::int64_t y = 0; y < k_rgb.height; ++y)
      for (std::int64_t x = 0; x < k_rgb.width; ++x) {
        // y points down, so this is anticlockwise.
        const double dx = static_cast<double>(x) - 11.5, dy = static_cast<double>(y) - 9.5;
        const double from_x = 11.5 + std::cos(angle) * dx - std::sin(angle) * dy;
        const double from_y = 9.5 + std::sin(angle) * dx + std::cos(angle) * dy;
        const auto near_tie = [](double at) { return std::fabs(at - std::floor(at) - 0.5) < 0.01; };
        if (near_tie(from_x) || near_tie(from_y)) continue;
        ++compared;
        for (std::int64_t c = 0; c < 3; ++c)
          ASSERT_EQ(turned(c, y, x), image.black_outside(c, std::llround(from_y), std::llround(from_x)));
      }
    EXPECT_GT(compared, 400);
  }
  // A bright pixel right of the centre moves up in an anticlockwise rotation.
  Image dot{{1, 21, 21}, std::vector<std::uint8_t>(441, 0)};
  dot.pixels[10 * 21 + 18] = 255;
  const Image turned = operated(dot, rotate, false, 30);
  EXPECT_EQ(turned(0, 6, 17), 255);
}

TEST(Augment, BlendsAreOfTheStatedReferences) {
  for (const ImageShape& shape : {k_rgb, k_grey})
    for (const bool negative : {false, true}) {
      const Image image = random_image(shape, 1);
      const double f = 1 + (negative ? -0.9 : 0.9) * 20 / 30;
      const auto blended = [&](double x, double r) { return clipped(f * x + (1 - f) * r); };
      expect_pixels(operated(image, brightness, negative, 20),
                    [&](auto c, auto y, auto x) { return blended(image(c, y, x), 0); });
      expect_pixels(operated(image, color, negative, 20),
                    [&](auto c, auto y, auto x) { return blended(image(c, y, x), image.grey(y, x)); });
      double sum = 0;
      for (std::int64_t y = 0; y < shape.height; ++y)
        for (std::int64_t x = 0; x < shape.width; ++x) sum += image.grey(y, x);
      const double mean = std::floor(sum / static_cast<double>(shape.height * shape.width) + 0.5);
      expect_pixels(operated(image, contrast, negative, 20),
                    [&](auto c, auto y, auto x) { return blended(image(c, y, x), mean); });
      expect_pixels(operated(image, sharpness, negative, 20), [&](auto c, auto y, auto x) -> double {
        if (y == 0 || x == 0 || y == shape.height - 1 || x == shape.width - 1) return image(c, y, x);
        int around = 4 * image(c, y, x);
        for (int dy = -1; dy <= 1; ++dy)
          for (int dx = -1; dx <= 1; ++dx) around += image(c, y + dy, x + dx);
        return blended(image(c, y, x), (around + 6) / 13);
      });
    }
}

TEST(Augment, PosterizeKeepsTheHighestBits) {
  const Image image = random_image(k_rgb);
  for (const auto& [m, mask] : {std::pair{30, 0xf0}, {15, 0xfc}, {10, 0xfe}, {3, 0xff}})
    expect_pixels(operated(image, posterize, false, m),
                  [&, keep = mask](auto c, auto y, auto x) { return image(c, y, x) & keep; });
}

TEST(Augment, SolarizeInvertsTheBright) {
  const Image image = random_image(k_rgb);
  expect_pixels(operated(image, solarize, false, 15),
                [&](auto c, auto y, auto x) { return image(c, y, x) < 128 ? image(c, y, x) : 255 - image(c, y, x); });
  expect_pixels(operated(image, solarize, false, 30), [&](auto c, auto y, auto x) { return 255 - image(c, y, x); });
}

TEST(Augment, AutocontrastStretchesEachChannel) {
  Image image = random_image({2 + 1, 6, 6}, 0, 51);
  for (std::uint8_t& pixel : image.pixels) pixel = static_cast<std::uint8_t>(pixel + 100);
  image.pixels[0] = 100;
  image.pixels[1] = 151;  // channel 0 spans 51 values; the differences become five times as large
  std::fill(image.pixels.begin() + 36, image.pixels.begin() + 72, std::uint8_t{7});
  const Image stretched = operated(image, autocontrast, false, 10);
  for (std::int64_t y = 0; y < 6; ++y)
    for (std::int64_t x = 0; x < 6; ++x) {
      EXPECT_EQ(stretched(0, y, x), 5 * (image(0, y, x) - 100));
      EXPECT_EQ(stretched(1, y, x), 7) << "nothing to stretch";
    }
}

TEST(Augment, EqualizeMakesTheHistogramFlat) {
  // 1024 pixels: 10 occurs four times as often as 20, 30, 40, 50. Step (1024 - 128) / 255 = 3, from 1 on.
  Image image{{1, 32, 32}, std::vector<std::uint8_t>(1024, 10)};
  for (std::size_t i = 0; i < 512; ++i) image.pixels[i] = static_cast<std::uint8_t>(20 + 10 * (i / 128));
  const Image flat = operated(image, equalize, false, 10);
  const std::vector<int> expected{(1 + 512) / 3, (1 + 640) / 3, 255, 255};
  for (std::size_t i = 0; i < 512; ++i) EXPECT_EQ(flat.pixels[i], expected[i / 128]) << i;
  EXPECT_EQ(flat.pixels[1000], 0);
  // A histogram with every value once is already flat.
  Image ramp{{1, 16, 16}, std::vector<std::uint8_t>(256)};
  std::iota(ramp.pixels.begin(), ramp.pixels.end(), std::uint8_t{0});
  EXPECT_EQ(operated(ramp, equalize, false, 10).pixels, ramp.pixels);
}

TEST(Augment, RandaugmentAppliesItsOperationsInTurn) {
  const Image image = random_image(k_rgb, 5);
  for (std::uint64_t step = 0; step < 50; ++step) {
    Stream stream(2, "two", step);
    Image expected = image;
    for (int i = 0; i < 2; ++i) {
      const auto operation = static_cast<Operation>(stream.below(14));
      const bool negative = stream.below(2) == 1;
      expected = operated(expected, operation, negative, 12);
    }
    EXPECT_EQ(augmented(image, {.operations = 2, .strength = 12}, Stream(2, "two", step)).pixels, expected.pixels);
  }
}

// ---- autoaugment

struct Draws {
  std::uint64_t policy;
  bool first, first_negative, second, second_negative;
};

Draws draw_policy(Stream stream, double first, double second) {
  Draws draws{};
  draws.policy = stream.below(25);
  draws.first = stream.uniform() < first;
  draws.first_negative = stream.below(2) == 1;
  draws.second = stream.uniform() < second;
  draws.second_negative = stream.below(2) == 1;
  return draws;
}

/// Calls `check` for 40 streams that draw this sub-policy.
void each_of_policy(std::uint64_t policy, double first, double second,
                    const std::function<void(const Draws&, Stream)>& check) {
  int found = 0;
  for (std::uint64_t step = 0; found < 40; ++step)
    if (const Draws draws = draw_policy(Stream(9, "policy", step), first, second); draws.policy == policy) {
      ++found;
      check(draws, Stream(9, "policy", step));
    }
}

TEST(Augment, AutoaugmentIsThePublishedPolicy) {
  const Image image = random_image(k_rgb, 8);
  const Augmentation augmentation{.autoaugment = true};
  // 5: shear y with 0.2 at 7, posterize with 0.3 at 7: drops round(4 * 7/9) = 3 bits.
  each_of_policy(5, 0.2, 0.3, [&](const Draws& draws, Stream stream) {
    if (draws.first) return;
    expect_pixels(augmented(image, augmentation, stream),
                  [&](auto c, auto y, auto x) { return draws.second ? image(c, y, x) & 0xf8 : image(c, y, x); });
  });
  // 13: brightness with 0.9 at 6, color with 0.2 at 8.
  each_of_policy(13, 0.9, 0.2, [&](const Draws& draws, Stream stream) {
    if (draws.second) return;
    const double f = draws.first ? 1 + (draws.first_negative ? -0.6 : 0.6) : 1;
    expect_pixels(augmented(image, augmentation, stream),
                  [&](auto c, auto y, auto x) { return clipped(f * image(c, y, x)); });
  });
  // 14: solarize with 0.5 at 2, from 256 * 7/9 = 199.1; never invert.
  each_of_policy(14, 0.5, 0, [&](const Draws& draws, Stream stream) {
    expect_pixels(augmented(image, augmentation, stream), [&](auto c, auto y, auto x) {
      return draws.first && image(c, y, x) >= 200 ? 255 - image(c, y, x) : image(c, y, x);
    });
  });
  // 21: translate y with 0.9 at 9, then with 0.7 at 9: trunc(20 * 150/331) = 9 pixels each.
  each_of_policy(21, 0.9, 0.7, [&](const Draws& draws, Stream stream) {
    const int one = draws.first ? (draws.first_negative ? 9 : -9) : 0;
    const int two = draws.second ? (draws.second_negative ? 9 : -9) : 0;
    expect_pixels(augmented(image, augmentation, stream), [&](auto c, auto y, auto x) {
      return y + two < 0 || y + two >= k_rgb.height ? 0 : image.black_outside(c, y + two + one, x);
    });
  });
}

TEST(Augment, EverySubPolicyDoesSomethingToAnImage) {
  // Small and with few levels, so that autocontrast and equalize have an effect.
  const Image image = random_image(k_rgb, 4, 90);
  std::vector<int> changed(25, 0);
  for (std::uint64_t step = 0; step < 2000; ++step) {
    const std::uint64_t policy = Stream(1, "all", step).below(25);
    changed[static_cast<std::size_t>(policy)] +=
        augmented(image, {.autoaugment = true}, Stream(1, "all", step)).pixels != image.pixels;
  }
  for (std::size_t policy = 0; policy < 25; ++policy)
    // 14 solarizes values that this image does not reach.
    EXPECT_EQ(changed[policy] > 0, policy != 14) << policy;
}

// ---- crop, flip, cutout

TEST(Augment, ResizedCropIsABilinearPartOfTheImage) {
  const Image image = random_image(k_rgb, 6);
  std::set<std::int64_t> areas;
  for (std::uint64_t step = 0; step < 60; ++step) {
    const Image came = augmented(image, {.smallest_share = 0.2}, Stream(3, "part", step));
    Stream stream(3, "part", step);
    std::int64_t top = 0, left = 1, height = 20, width = 24;
    for (int tries = 0; tries < 10; ++tries) {
      const double area = 480 * (0.2 + 0.8 * stream.uniform());
      const double ratio = std::pow(4.0 / 3, 2 * stream.uniform() - 1);
      width = std::llround(std::sqrt(area * ratio));
      height = std::llround(std::sqrt(area / ratio));
      EXPECT_GE(static_cast<double>(width * height), 0.2 * 480 - 24);
      if (width <= 24 && height <= 20) {
        top = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(20 - height + 1)));
        left = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(24 - width + 1)));
        break;
      }
      ASSERT_LT(tries, 9) << "ten tries in vain: choose another seed";
    }
    areas.insert(width * height);
    const auto at = [](std::int64_t to, std::int64_t part, std::int64_t side) {
      return std::clamp((static_cast<double>(to) + 0.5) * static_cast<double>(part) / static_cast<double>(side) - 0.5,
                        0.0, static_cast<double>(part - 1));
    };
    expect_pixels(
        came,
        [&](auto c, auto y, auto x) {
          const double row = at(y, height, 20), column = at(x, width, 24);
          const auto y0 = static_cast<std::int64_t>(row), x0 = static_cast<std::int64_t>(column);
          const auto y1 = std::min(y0 + 1, height - 1), x1 = std::min(x0 + 1, width - 1);
          const double down = row - static_cast<double>(y0), right = column - static_cast<double>(x0);
          const auto pixel = [&](auto yy, auto xx) { return static_cast<double>(image(c, top + yy, left + xx)); };
          return (1 - down) * ((1 - right) * pixel(y0, x0) + right * pixel(y0, x1)) +
                 down * ((1 - right) * pixel(y1, x0) + right * pixel(y1, x1));
        },
        1.01);
  }
  EXPECT_GT(areas.size(), 30u);
}

TEST(Augment, AResizedCropThatNeverFitsIsTheLargestCentredPart) {
  // 40 times as wide as high: a part of at least half the area never has a ratio of at most 4/3.
  const ImageShape shape{1, 6, 240};
  Image image{shape, std::vector<std::uint8_t>(6 * 240, 0)};
  for (std::int64_t y = 0; y < 6; ++y)
    for (std::int64_t x = 116; x < 124; ++x) image.pixels[static_cast<std::size_t>(y * 240 + x)] = 200;
  const Image came = augmented(image, {.smallest_share = 0.5}, Stream(0, "wide"));
  expect_pixels(came, [](auto, auto, auto) { return 200; });
}

TEST(Augment, CutoutIsABlackSquareCutOffAtTheBorder) {
  Image image = random_image(k_rgb, 2);
  for (std::uint8_t& pixel : image.pixels) pixel = std::max<std::uint8_t>(pixel, 1);
  for (const std::int64_t length : {1, 6, 7, 20})
    for (std::uint64_t step = 0; step < 20; ++step) {
      Stream stream(4, "cut", step);
      const auto top = static_cast<std::int64_t>(stream.below(20)) - length / 2;
      const auto left = static_cast<std::int64_t>(stream.below(24)) - length / 2;
      expect_pixels(augmented(image, {.cutout = length}, Stream(4, "cut", step)), [&](auto c, auto y, auto x) {
        return y >= top && y < top + length && x >= left && x < left + length ? 0 : image(c, y, x);
      });
    }
}

// ---- jitter

TEST(Augment, JitterAppliesItsFactorsInTheDrawnOrder) {
  const Image image = random_image(k_rgb, 7);
  const Augmentation augmentation{.jitter = {.brightness = 0.4, .contrast = 1.5, .saturation = 0.3}};
  std::set<std::vector<int>> orders;
  for (std::uint64_t step = 0; step < 60; ++step) {
    Stream stream(6, "jitter", step);
    std::vector<int> order{0, 1, 2};
    stream.shuffle(std::span(order));
    orders.insert(order);
    Image expected = image;
    for (const int i : order) {
      const double range = std::vector<double>{0.4, 1.5, 0.3}[static_cast<std::size_t>(i)];
      const double least = std::max(0.0, 1 - range);
      const double f = least + stream.uniform() * (1 + range - least);
      double mean = 0;
      for (std::int64_t y = 0; y < 20; ++y)
        for (std::int64_t x = 0; x < 24; ++x) mean += expected.grey(y, x) / 480.0;
      const Image before = expected;
      for (std::int64_t c = 0; c < 3; ++c)
        for (std::int64_t y = 0; y < 20; ++y)
          for (std::int64_t x = 0; x < 24; ++x) {
            const double r = i == 0 ? 0 : i == 1 ? std::floor(mean + 0.5) : before.grey(y, x);
            expected.pixels[static_cast<std::size_t>((c * 20 + y) * 24 + x)] =
                static_cast<std::uint8_t>(clipped(f * before(c, y, x) + (1 - f) * r));
          }
    }
    EXPECT_EQ(augmented(image, augmentation, Stream(6, "jitter", step)).pixels, expected.pixels) << step;
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(Augment, HueTurnsTheColourCircle) {
  // A saturated red of value 200: its hue after a rotation is known without converting the image.
  for (std::uint64_t step = 0; step < 40; ++step) {
    Image red{{3, 2, 2}, {200, 200, 200, 200, 0, 0, 0, 0, 0, 0, 0, 0}};
    const double turn = 0.5 * (2 * [&] {
                          Stream stream(7, "hue", step);
                          return stream.uniform();
                        }() - 1);
    const Image came = augmented(red, {.jitter = {.hue = 0.5}}, Stream(7, "hue", step));
    const double sixth = 6 * (turn < 0 ? turn + 1 : turn);
    const auto channel = [&](double offset) {
      const double k = std::fmod(offset + sixth, 6);
      return 200 - 200 * std::clamp(std::min(k, 4 - k), 0.0, 1.0);
    };
    for (const auto& [c, offset] : {std::pair<int, double>{0, 5}, {1, 3}, {2, 1}})
      EXPECT_NEAR(came(c, 0, 0), channel(offset), 6) << step << " channel " << c;
    EXPECT_EQ(came(0, 0, 0), came(0, 1, 1));
  }
  const Image grey{{3, 1, 2}, {9, 80, 9, 80, 9, 80}};
  EXPECT_EQ(augmented(grey, {.jitter = {.hue = 0.5}}, Stream(7, "hue")).pixels, grey.pixels);
}

TEST(Augment, TheOrderIsThatOfTheTable) {
  const Image image = random_image(k_rgb, 11);
  for (std::uint64_t step = 0; step < 20; ++step) {
    // The last augmentation sees the stream as the earlier ones left it.
    Stream stream(8, "order", step);
    const auto down = static_cast<std::int64_t>(stream.below(7)) - 3;
    const auto right = static_cast<std::int64_t>(stream.below(7)) - 3;
    const bool flip = stream.below(2) == 1;
    const double f = 0.5 + stream.uniform();
    const auto cut_y = static_cast<std::int64_t>(stream.below(20)) - 2;
    const auto cut_x = static_cast<std::int64_t>(stream.below(24)) - 2;
    const Augmentation augmentation{.pad = 3, .flip = true, .jitter = {.brightness = 0.5}, .cutout = 4};
    expect_pixels(augmented(image, augmentation, Stream(8, "order", step)), [&](auto c, auto y, auto x) {
      if (y >= cut_y && y < cut_y + 4 && x >= cut_x && x < cut_x + 4) return 0.0;
      return clipped(f * image.black_outside(c, y + down, (flip ? 23 - x : x) + right));
    });
  }
}

// ---- mixing

struct MixedRows {
  std::vector<float> pixels;
  Mixing mixing;
};

MixedRows mixed(const Augmentation& augmentation, const std::vector<float>& pixels, std::int64_t size,
                const ImageShape& shape, Stream stream) {
  MixedRows rows{pixels, {}};
  rows.mixing = mix(augmentation, rows.pixels, size, shape, stream);
  return rows;
}

std::vector<float> values(std::int64_t count) {
  std::vector<float> result;
  Stream stream(0, "values");
  for (std::int64_t i = 0; i < count; ++i) result.push_back(static_cast<float>(stream.normal()));
  return result;
}

TEST(Mix, MixupIsTheConvexCombinationWithThePartner) {
  const std::vector<float> before = values(5 * 12);
  for (std::uint64_t step = 0; step < 30; ++step) {
    const MixedRows rows = mixed({.mixup = 0.7}, before, 5, {1, 3, 4}, Stream(0, "mix", step));
    std::vector<std::int64_t> sorted = rows.mixing.partner;
    std::ranges::sort(sorted);
    EXPECT_EQ(sorted, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
    EXPECT_GE(rows.mixing.lambda, 0);
    EXPECT_LE(rows.mixing.lambda, 1);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t p = 0; p < 12; ++p)
        EXPECT_NEAR(rows.pixels[12 * i + p],
                    rows.mixing.lambda * before[12 * i + p] +
                        (1 - rows.mixing.lambda) * before[12 * static_cast<std::size_t>(rows.mixing.partner[i]) + p],
                    1e-6);
  }
}

TEST(Mix, LambdaHasTheBetaDistribution) {
  for (const double alpha : {0.01, 0.2, 1.0, 4.0}) {
    constexpr int k_draws = 20000;
    double sum = 0, squares = 0;
    for (std::uint64_t step = 0; step < k_draws; ++step) {
      std::vector<float> nothing;
      const double lambda = mix({.mixup = alpha}, nothing, 0, {1, 1, 1}, Stream(1, "beta", step)).lambda;
      ASSERT_TRUE(lambda >= 0 && lambda <= 1) << lambda;
      sum += lambda;
      squares += (lambda - 0.5) * (lambda - 0.5);
    }
    // Variance 1 / (4 (2 alpha + 1)); five standard errors.
    const double variance = 1 / (4 * (2 * alpha + 1));
    EXPECT_NEAR(sum / k_draws, 0.5, 5 * std::sqrt(variance / k_draws)) << alpha;
    EXPECT_NEAR(squares / k_draws, variance, 0.03 * variance) << alpha;
  }
}

TEST(Mix, CutmixTakesABoxFromThePartnerAndCountsIt) {
  const ImageShape shape{2, 8, 10};
  const std::vector<float> before = values(4 * shape.pixels());
  double smallest = 1, largest = 0;
  for (std::uint64_t step = 0; step < 60; ++step) {
    const MixedRows rows = mixed({.cutmix = 1}, before, 4, shape, Stream(0, "cutmix", step));
    smallest = std::min(smallest, rows.mixing.lambda);
    largest = std::max(largest, rows.mixing.lambda);
    std::int64_t top = 8, bottom = -1, left = 10, right = -1, taken = 0;
    for (std::int64_t i = 0; i < 4; ++i) {
      const std::int64_t partner = rows.mixing.partner[static_cast<std::size_t>(i)];
      for (std::int64_t c = 0; c < 2; ++c)
        for (std::int64_t y = 0; y < 8; ++y)
          for (std::int64_t x = 0; x < 10; ++x) {
            const auto at = [&](std::int64_t row) {
              return static_cast<std::size_t>(((row * 2 + c) * 8 + y) * 10 + x);
            };
            const float pixel = rows.pixels[at(i)];
            if (partner == i || pixel == before[at(i)]) continue;
            ASSERT_EQ(pixel, before[at(partner)]);
            top = std::min(top, y);
            bottom = std::max(bottom, y);
            left = std::min(left, x);
            right = std::max(right, x);
            ++taken;
          }
    }
    const std::int64_t area = taken == 0 ? 0 : (bottom - top + 1) * (right - left + 1);
    std::int64_t mixed_rows = 0;
    for (std::int64_t i = 0; i < 4; ++i) mixed_rows += rows.mixing.partner[static_cast<std::size_t>(i)] != i;
    EXPECT_EQ(taken, 2 * area * mixed_rows) << "a box, in every channel of every sample";
    if (mixed_rows > 0) {
      EXPECT_DOUBLE_EQ(rows.mixing.lambda, 1 - static_cast<double>(area) / 80);
    }
  }
  EXPECT_LT(smallest, 0.5);
  EXPECT_GT(largest, 0.9);
}

// ---- text

TEST(Augmentation, TextReadsBack) {
  const ImageShape shape{3, 32, 32};
  for (const char* text : {"none", "crop:4", "crop:4+flip", "rrc:0.08+flip",
                           "flip+jitter:brightness=0.4,contrast=0.4,saturation=0.4,hue=0",
                           "crop:4+flip+autoaugment+cutout:16", "randaugment:n=2,m=10", "flip+mixup:0.2", "cutmix:1"})
    EXPECT_EQ(Augmentation::parse(text, shape).text(), text);
  for (const auto& [text, full] :
       {std::pair{"crop-flip", "crop:4+flip"},
        {"crop", "crop:4"},
        {"crop+flip+autoaugment+cutout", "crop:4+flip+autoaugment+cutout:16"},
        {"rrc+flip+jitter", "rrc:0.08+flip+jitter:brightness=0.4,contrast=0.4,saturation=0.4,hue=0"},
        {"jitter:hue=0.1,contrast=0", "jitter:brightness=0.4,contrast=0,saturation=0.4,hue=0.1"},
        {"randaugment", "randaugment:n=2,m=10"},
        {"randaugment:m=5", "randaugment:n=2,m=5"},
        {"mixup", "mixup:0.2"},
        {"cutmix", "cutmix:1"}})
    EXPECT_EQ(Augmentation::parse(text, shape).text(), full);
  EXPECT_EQ(Augmentation::parse("crop+cutout", {1, 28, 28}).text(), "crop:3+cutout:14");
  EXPECT_EQ(Augmentation::parse("crop", {1, 6, 6}).pad, 1);
}

TEST(Augmentation, RefusesWhatItDoesNotKnow) {
  const auto reject = [](std::string_view text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { Augmentation::parse(text, {3, 32, 32}); });
  };
  reject("corp", {"'corp'", "did you mean 'crop'?"});
  reject("crop+filp", {"'filp' in 'crop+filp'", "did you mean 'flip'?"});
  reject("", {"unknown augmentation ''", "none, crop"});
  reject("crop+", {"unknown augmentation '' in 'crop+'"});
  reject("none+flip", {"unknown augmentation 'none' in"});
  reject("flip+crop", {"order of application", "write 'crop+flip'"});
  reject("cutout:8+flip+crop:2", {"write 'crop:2+flip+cutout:8'"});
  reject("flip+flip", {"has flip twice"});
  reject("flip:1", {"takes nothing after its name"});
  reject("crop:0", {"crop", "above 0"});
  reject("crop:four", {"crop", "expected a whole number"});
  reject("cutout:", {"cutout", "expected a whole number"});
  reject("mixup:-1", {"mixup", "above 0"});
  reject("rrc:big", {"rrc", "expected a number"});
  reject("jitter:brightnes=1", {"unknown key 'brightnes'", "did you mean 'brightness'?"});
  reject("jitter:hue=0.1,hue=0.2", {"hue is given twice"});
  reject("randaugment:n=0", {"n of augmentation 'randaugment' is 0"});
  reject("randaugment:2", {"unknown key '2'"});
}

TEST(Augmentation, RefusesWhatCannotApplyWithTheReason) {
  const Dataset rgb = synthetic({4}, {3, 8, 6});
  const Dataset grey = synthetic({4}, {1, 8, 6});
  const Dataset four = synthetic({4}, {4, 8, 6});
  const Dataset features = test::with_features(synthetic({4}, {5, 1, 1}), [](std::int64_t, std::span<float>) {});
  const auto reject = [](const Augmentation& augmentation, const Dataset& data,
                         std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { require_applicable(augmentation, data); });
  };
  reject({.pad = 6}, rgb, {"padding is 6", "0 to 5", "6 x 8"});
  reject({.smallest_share = 1.5}, rgb, {"share of rrc", "1.5"});
  reject({.jitter = {.brightness = -1}}, rgb, {"brightness of jitter", "-1"});
  reject({.jitter = {.hue = 0.6}}, rgb, {"hue of jitter", "0 to 0.5"});
  reject({.operations = 1, .strength = 31}, rgb, {"m of randaugment", "31", "0 to 30"});
  reject({.cutout = 7}, rgb, {"square of cutout", "7", "1 to 6"});
  reject({.mixup = -1}, rgb, {"alpha of mixup"});
  reject({.jitter = {.saturation = 0.1}}, grey, {"needs RGB", "1 channel, grey", "saturation=0"});
  reject({.jitter = {.hue = 0.1}}, four, {"needs RGB", "4 channels"});
  reject({.autoaugment = true}, four, {"4 channels"});
  reject({.operations = 1}, four, {"4 channels"});
  reject({.pad = 2, .smallest_share = 0.5}, rgb, {"crop and rrc exclude each other"});
  reject({.autoaugment = true, .operations = 1}, rgb, {"autoaugment and randaugment exclude each other"});
  reject({.mixup = 1, .cutmix = 1}, rgb, {"mixup and cutmix exclude each other"});
  reject({.flip = true}, features, {"'flip' is for images", "has features", "only mixup"});
  reject({.mixup = 1, .cutmix = 1}, features, {"'cutmix:1' is for images"});
  EXPECT_NO_THROW(require_applicable({.mixup = 1}, features));
  EXPECT_NO_THROW(require_applicable({.jitter = {.brightness = 0.2, .contrast = 0.2}, .autoaugment = true}, grey));
  EXPECT_NO_THROW(require_applicable({.pad = 2, .flip = true, .cutout = 6, .cutmix = 1}, four));
}

}  // namespace
}  // namespace ulmus
