#include "data/policies.hpp"

#include <array>
#include <cmath>
#include <numbers>

namespace ulmus::detail {
namespace {

enum class Operation {
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
  equalize,
  invert,
};
constexpr std::uint64_t k_rand_operations = 14;  // all except the last

struct Step {
  Operation operation;
  double probability;
  int level;  ///< 0 to 9
};

/// Table 7 of the AutoAugment paper. A level without effect (invert, autocontrast, equalize) is 0.
constexpr std::array<std::array<Step, 2>, 25> k_cifar10_policy = [] {
  using enum Operation;
  return std::array<std::array<Step, 2>, 25>{{
      {{{invert, 0.1, 0}, {contrast, 0.2, 6}}},          {{{rotate, 0.7, 2}, {translate_x, 0.3, 9}}},
      {{{sharpness, 0.8, 1}, {sharpness, 0.9, 3}}},      {{{shear_y, 0.5, 8}, {translate_y, 0.7, 9}}},
      {{{autocontrast, 0.5, 0}, {equalize, 0.9, 0}}},    {{{shear_y, 0.2, 7}, {posterize, 0.3, 7}}},
      {{{color, 0.4, 3}, {brightness, 0.6, 7}}},         {{{sharpness, 0.3, 9}, {brightness, 0.7, 9}}},
      {{{equalize, 0.6, 0}, {equalize, 0.5, 0}}},        {{{contrast, 0.6, 7}, {sharpness, 0.6, 5}}},
      {{{color, 0.7, 7}, {translate_x, 0.5, 8}}},        {{{equalize, 0.3, 0}, {autocontrast, 0.4, 0}}},
      {{{translate_y, 0.4, 3}, {sharpness, 0.2, 6}}},    {{{brightness, 0.9, 6}, {color, 0.2, 8}}},
      {{{solarize, 0.5, 2}, {invert, 0.0, 0}}},          {{{equalize, 0.2, 0}, {autocontrast, 0.6, 0}}},
      {{{equalize, 0.2, 0}, {equalize, 0.6, 0}}},        {{{color, 0.9, 9}, {equalize, 0.6, 0}}},
      {{{autocontrast, 0.8, 0}, {solarize, 0.2, 8}}},    {{{brightness, 0.1, 3}, {color, 0.7, 0}}},
      {{{solarize, 0.4, 5}, {autocontrast, 0.9, 0}}},    {{{translate_y, 0.9, 9}, {translate_y, 0.7, 9}}},
      {{{autocontrast, 0.9, 0}, {solarize, 0.8, 3}}},    {{{equalize, 0.8, 0}, {invert, 0.1, 0}}},
      {{{translate_y, 0.7, 9}, {autocontrast, 0.9, 0}}},
  }};
}();

void apply(const Image& image, Operation operation, double v, bool negative) {
  const double sign = negative ? -1 : 1;
  const double f = 1 + sign * 0.9 * v;
  const auto pixels = [&](std::int64_t side) {
    return static_cast<std::int64_t>(sign * v * 150 / 331 * static_cast<double>(side));
  };
  switch (operation) {
    case Operation::identity:
      return;
    // The centre of the first row or column is at half a pixel.
    case Operation::shear_x:
      return warp(image, {1, sign * 0.3 * v, sign * 0.15 * v, 0, 1, 0});
    case Operation::shear_y:
      return warp(image, {1, 0, 0, sign * 0.3 * v, 1, sign * 0.15 * v});
    case Operation::translate_x:
      return shift(image, 0, pixels(image.shape.width));
    case Operation::translate_y:
      return shift(image, pixels(image.shape.height), 0);
    case Operation::rotate: {
      const double angle = sign * 30 * v * std::numbers::pi / 180;
      const double cosine = std::cos(angle), sine = std::sin(angle);
      const double x = static_cast<double>(image.shape.width - 1) / 2,
                   y = static_cast<double>(image.shape.height - 1) / 2;
      return warp(image, {cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y});
    }
    case Operation::brightness:
      return brightness(image, f);
    case Operation::color:
      return saturation(image, f);
    case Operation::contrast:
      return contrast(image, f);
    case Operation::sharpness:
      return sharpness(image, f);
    case Operation::posterize: {
      const auto dropped = static_cast<int>(std::lround(4 * v));
      return look_up(image.pixels, make_table([&](int x) { return static_cast<Byte>(x >> dropped << dropped); }));
    }
    case Operation::solarize:
      return look_up(image.pixels,
                     make_table([&](int x) { return static_cast<Byte>(x >= 256 * (1 - v) ? 255 - x : x); }));
    case Operation::autocontrast:
      return autocontrast(image);
    case Operation::equalize:
      return equalize(image);
    case Operation::invert:
      return look_up(image.pixels, make_table([](int x) { return static_cast<Byte>(255 - x); }));
  }
}

}  // namespace

void auto_augment(const Image& image, Stream& stream) {
  for (const Step& step : k_cifar10_policy[static_cast<std::size_t>(stream.below(k_cifar10_policy.size()))]) {
    const bool applied = stream.uniform() < step.probability;
    const bool negative = stream.below(2) == 1;
    if (applied) apply(image, step.operation, step.level / 9.0, negative);
  }
}

void rand_augment(const Image& image, std::int64_t operations, std::int64_t strength, Stream& stream) {
  for (std::int64_t i = 0; i < operations; ++i) {
    const auto operation = static_cast<Operation>(stream.below(k_rand_operations));
    const bool negative = stream.below(2) == 1;
    apply(image, operation, static_cast<double>(strength) / k_most_strength, negative);
  }
}

}  // namespace ulmus::detail
