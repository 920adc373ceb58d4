#include "ulmus/data/augment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <numeric>
#include <opencv2/imgproc.hpp>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using Byte = std::uint8_t;
using Table = std::array<Byte, 256>;

constexpr std::int64_t k_most_strength = 30;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

// ---- text

/// Their order is that of application.
const std::array<std::string, 9> k_names{"crop",        "rrc",    "flip",  "jitter", "autoaugment",
                                         "randaugment", "cutout", "mixup", "cutmix"};

/// What follows a name's colon: one bare value, or keys with values.
class Settings {
 public:
  Settings(std::string_view name, std::string_view value, bool given) : name_(name), value_(value), given_(given) {}

  void refuse_any() const {
    if (given_) refuse(fmt::format("augmentation '{}' takes nothing after its name; write '{}'", name_, name_));
  }

  double number(double otherwise) const {
    return given_ ? parse_number(value_, fmt::format("the value of augmentation '{}'", name_)) : otherwise;
  }

  std::int64_t integer(std::int64_t otherwise) const {
    return given_ ? parse_integer(value_, fmt::format("the value of augmentation '{}'", name_)) : otherwise;
  }

  /// Each `key=value` to the variable of that key.
  template <class Number>
  void assign(std::initializer_list<std::pair<std::string, Number*>> variables) const {
    if (!given_) return;
    std::vector<std::string> keys;
    for (const auto& variable : variables) keys.push_back(variable.first);
    std::vector<std::string> seen;
    for (const std::string& setting : split(value_, ',')) {
      const std::size_t equals = setting.find('=');
      const std::string key = setting.substr(0, equals);
      const auto variable = std::ranges::find(variables, key, [](const auto& entry) { return entry.first; });
      if (variable == variables.end())
        refuse(fmt::format("unknown key '{}' in augmentation '{}:{}'; {}", key, name_, value_, suggest(key, keys)));
      if (std::ranges::find(seen, key) != seen.end())
        refuse(fmt::format("{} is given twice in augmentation '{}:{}'; leave one out", key, name_, value_));
      seen.push_back(key);
      const std::string text = equals == std::string::npos ? "" : setting.substr(equals + 1);
      const std::string what = fmt::format("{} in augmentation '{}:{}'", key, name_, value_);
      if constexpr (std::is_integral_v<Number>)
        *variable->second = parse_integer(text, what);
      else
        *variable->second = parse_number(text, what);
    }
  }

 private:
  std::string_view name_;
  std::string_view value_;
  bool given_;
};

/// Values are checked against what the data must have by `require_applicable`; here only that there is something to do.
void set(Augmentation& a, std::string_view name, const Settings& settings, const ImageShape& shape) {
  const auto positive = [&](auto value) {
    if (!(value > 0)) refuse(fmt::format("the value of augmentation '{}' is {}, expected above 0", name, value));
    return value;
  };
  if (name == "crop") {
    a.pad = positive(settings.integer(std::max<std::int64_t>(1, shape.height / 8)));
  } else if (name == "rrc") {
    a.smallest_share = positive(settings.number(0.08));
  } else if (name == "flip") {
    settings.refuse_any();
    a.flip = true;
  } else if (name == "jitter") {
    a.jitter = {.brightness = 0.4, .contrast = 0.4, .saturation = 0.4};
    settings.assign<double>({{"brightness", &a.jitter.brightness},
                             {"contrast", &a.jitter.contrast},
                             {"saturation", &a.jitter.saturation},
                             {"hue", &a.jitter.hue}});
  } else if (name == "autoaugment") {
    settings.refuse_any();
    a.autoaugment = true;
  } else if (name == "randaugment") {
    a.operations = 2;
    settings.assign<std::int64_t>({{"n", &a.operations}, {"m", &a.strength}});
    if (a.operations < 1)
      refuse(fmt::format("n of augmentation 'randaugment' is {}, expected 1 or more", a.operations));
  } else if (name == "cutout") {
    a.cutout = positive(settings.integer(std::max<std::int64_t>(1, std::min(shape.height, shape.width) / 2)));
  } else if (name == "mixup") {
    a.mixup = positive(settings.number(0.2));
  } else {
    a.cutmix = positive(settings.number(1));
  }
}

// ---- operations on the planes of an image

struct Image {
  std::span<Byte> pixels;
  const ImageShape& shape;

  cv::Mat plane(std::int64_t c) const {
    return {static_cast<int>(shape.height), static_cast<int>(shape.width), CV_8UC1,
            pixels.data() + c * shape.height * shape.width};
  }

  template <class Operation>
  void each_plane(Operation operation) const {
    for (std::int64_t c = 0; c < shape.channels; ++c) operation(plane(c));
  }

  /// Each pixel's grey, one plane.
  std::vector<Byte> grey() const {
    const auto size = static_cast<std::size_t>(shape.height * shape.width);
    if (shape.channels == 1) return {pixels.begin(), pixels.end()};
    std::vector<Byte> result(size);
    for (std::size_t i = 0; i < size; ++i)
      result[i] = static_cast<Byte>(
          (19595u * pixels[i] + 38470u * pixels[size + i] + 7471u * pixels[2 * size + i] + 32768u) >> 16);
    return result;
  }
};

template <class Value>
Table make_table(Value value) {
  Table table;
  for (int x = 0; x < 256; ++x) table[static_cast<std::size_t>(x)] = value(x);
  return table;
}

void look_up(std::span<Byte> pixels, const Table& table) {
  for (Byte& pixel : pixels) pixel = table[pixel];
}

std::span<Byte> bytes(const cv::Mat& plane) { return {plane.data, plane.total()}; }

/// f x + (1 - f) r, with one r for all pixels.
void blend(const Image& image, double f, double r) {
  look_up(image.pixels, make_table([&](int x) { return cv::saturate_cast<Byte>(f * x + (1 - f) * r); }));
}

void brightness(const Image& image, double f) { blend(image, f, 0); }

void contrast(const Image& image, double f) {
  const std::vector<Byte> grey = image.grey();
  const double sum = static_cast<double>(std::accumulate(grey.begin(), grey.end(), std::int64_t{0}));
  blend(image, f, std::floor(sum / static_cast<double>(grey.size()) + 0.5));
}

void saturation(const Image& image, double f) {
  if (image.shape.channels == 1) return;  // a grey image is its own grey
  const std::vector<Byte> grey = image.grey();
  std::array<double, 256> own, others;
  for (std::size_t x = 0; x < 256; ++x) {
    own[x] = f * static_cast<double>(x);
    others[x] = (1 - f) * static_cast<double>(x);
  }
  for (std::size_t c = 0; c < 3; ++c) {
    Byte* pixel = image.pixels.data() + c * grey.size();
    for (const Byte r : grey) {
      *pixel = cv::saturate_cast<Byte>(own[*pixel] + others[r]);
      ++pixel;
    }
  }
}

void sharpness(const Image& image, double f) {
  image.each_plane([&](cv::Mat plane) {
    if (plane.rows < 3 || plane.cols < 3) return;
    cv::Mat sums;
    cv::boxFilter(plane, sums, CV_32S, {3, 3}, {-1, -1}, false);
    for (int y = 1; y < plane.rows - 1; ++y) {
      Byte* row = plane.ptr(y);
      const int* sum = sums.ptr<int>(y);
      for (int x = 1; x < plane.cols - 1; ++x)
        row[x] = cv::saturate_cast<Byte>(f * row[x] + (1 - f) * ((sum[x] + 4 * row[x] + 6) / 13));
    }
  });
}

void turn_hue(const Image& image, int shift) {
  std::array<cv::Mat, 3> planes{image.plane(0), image.plane(1), image.plane(2)};
  cv::Mat rgb, hsv;
  cv::merge(planes.data(), planes.size(), rgb);
  cv::cvtColor(rgb, hsv, cv::COLOR_RGB2HSV_FULL);
  for (std::size_t i = 0, end = 3 * hsv.total(); i < end; i += 3) hsv.data[i] = static_cast<Byte>(hsv.data[i] + shift);
  cv::cvtColor(hsv, rgb, cv::COLOR_HSV2RGB_FULL);
  cv::split(rgb, planes.data());
}

void autocontrast(const Image& image) {
  image.each_plane([](cv::Mat plane) {
    const auto [lowest, highest] = std::ranges::minmax(bytes(plane));
    if (highest <= lowest) return;
    const double scale = 255.0 / (highest - lowest);
    const double offset = -lowest * scale;
    look_up(bytes(plane), make_table([&](int x) {
              return static_cast<Byte>(std::clamp(static_cast<int>(x * scale + offset), 0, 255));
            }));
  });
}

void equalize(const Image& image) {
  image.each_plane([](cv::Mat plane) {
    std::array<int, 256> histogram{};
    for (const Byte pixel : bytes(plane)) ++histogram[pixel];
    const int last = *std::ranges::find_if(histogram.rbegin(), histogram.rend(), [](int n) { return n > 0; });
    const int step = (static_cast<int>(plane.total()) - last) / 255;
    if (step == 0) return;
    int below = step / 2;
    look_up(bytes(plane), make_table([&](int x) {
              const int level = below / step;
              below += histogram[static_cast<std::size_t>(x)];
              return static_cast<Byte>(std::min(level, 255));
            }));
  });
}

/// Pixel (x, y) of the result comes from (m00 x + m01 y + m02, m10 x + m11 y + m12), the nearest; black from outside.
void warp(const Image& image, const cv::Matx23d& from) {
  image.each_plane([&](cv::Mat plane) {
    cv::Mat result;
    cv::warpAffine(plane, result, from, plane.size(), cv::INTER_NEAREST | cv::WARP_INVERSE_MAP, cv::BORDER_CONSTANT, 0);
    result.copyTo(plane);
  });
}

/// Moves the image `down` and `right`, in place: a row that moves down makes room before the one above it comes.
void shift(const Image& image, std::int64_t down, std::int64_t right) {
  const auto [channels, height, width] = image.shape;
  const std::int64_t kept = std::max<std::int64_t>(0, width - std::abs(right));
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t i = 0; i < height; ++i) {
      const std::int64_t y = down > 0 ? height - 1 - i : i;
      Byte* row = image.pixels.data() + (c * height + y) * width;
      if (y - down < 0 || y - down >= height || kept == 0) {
        std::fill_n(row, width, Byte{0});
        continue;
      }
      const Byte* from = row - down * width;
      std::memmove(row + std::max<std::int64_t>(right, 0), from + std::max<std::int64_t>(-right, 0),
                   static_cast<std::size_t>(kept));
      std::fill_n(right > 0 ? row : row + kept, width - kept, Byte{0});
    }
}

// ---- autoaugment and randaugment

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
constexpr std::uint64_t k_rand_operations = 14;  // all but the last

struct Step {
  Operation operation;
  double probability;
  int level;  ///< 0 to 9
};

/// Table 7 of the AutoAugment paper. A level that means nothing (of invert, autocontrast, equalize) is 0.
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
    // The half pixel is where the centre of the first row or column lies.
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

// ---- random choices

void random_crop(const Image& image, std::int64_t pad, Stream& stream) {
  const auto offsets = static_cast<std::uint64_t>(2 * pad + 1);
  const auto top = static_cast<std::int64_t>(stream.below(offsets));
  const auto left = static_cast<std::int64_t>(stream.below(offsets));
  shift(image, pad - top, pad - left);
}

/// A part is never larger than the image, so there is nothing to shrink. The exact kind gives the same bits on every
/// machine.
void random_resized_crop(const Image& image, double smallest_share, Stream& stream) {
  const ImagePart chosen = random_part(image.shape.height, image.shape.width, smallest_share, stream);
  const cv::Rect part(static_cast<int>(chosen.left), static_cast<int>(chosen.top), static_cast<int>(chosen.width),
                      static_cast<int>(chosen.height));
  image.each_plane([&](cv::Mat plane) {
    cv::Mat result;
    cv::resize(plane(part), result, plane.size(), 0, 0, cv::INTER_LINEAR_EXACT);
    result.copyTo(plane);
  });
}

void random_jitter(const Image& image, const Augmentation::Jitter& jitter, Stream& stream) {
  const std::array<double, 4> ranges{jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue};
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i] > 0) order.push_back(i);
  stream.shuffle(std::span(order));
  for (const std::size_t i : order) {
    const double u = stream.uniform();
    const double least = std::max(0.0, 1 - ranges[i]);
    const double f = least + u * (1 + ranges[i] - least);
    if (i == 0) brightness(image, f);
    if (i == 1) contrast(image, f);
    if (i == 2) saturation(image, f);
    if (i == 3) turn_hue(image, static_cast<int>(std::lround(256 * (2 * u - 1) * jitter.hue)));
  }
}

void random_cutout(const Image& image, std::int64_t length, Stream& stream) {
  const auto y = static_cast<int>(stream.below(static_cast<std::uint64_t>(image.shape.height)));
  const auto x = static_cast<int>(stream.below(static_cast<std::uint64_t>(image.shape.width)));
  const auto side = static_cast<int>(length);
  const cv::Rect square(x - side / 2, y - side / 2, side, side);
  image.each_plane([&](cv::Mat plane) { plane(square & cv::Rect({0, 0}, plane.size())) = 0; });
}

/// The logarithm of a number with the Gamma distribution (alpha, 1): Marsaglia and Tsang 2000, for alpha + 1, times
/// u^(1 / alpha). In logarithms, because the number itself may be below the smallest double for a small alpha.
double log_gamma_variate(double alpha, Stream& stream) {
  const double d = alpha + 1 - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = stream.normal();
    const double v = std::pow(1 + c * x, 3);
    const double u = 1 - stream.uniform();
    if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v))
      return std::log(d * v) + std::log(1 - stream.uniform()) / alpha;
  }
}

double beta_variate(double alpha, Stream& stream) {
  const double first = log_gamma_variate(alpha, stream);
  const double second = log_gamma_variate(alpha, stream);
  return 1 / (1 + std::exp(second - first));
}

}  // namespace

Augmentation Augmentation::parse(std::string_view text, const ImageShape& shape) {
  if (text == "none") return {};
  const std::vector<std::string> pieces = split(text == "crop-flip" ? "crop+flip" : text, '+');
  std::vector<std::pair<std::ptrdiff_t, std::string>> order;
  Augmentation augmentation;
  for (const std::string& piece : pieces) {
    const std::size_t colon = piece.find(':');
    const std::string name = piece.substr(0, colon);
    const auto found = std::ranges::find(k_names, name);
    if (found == k_names.end()) {
      std::vector<std::string> known{"none"};
      known.insert(known.end(), k_names.begin(), k_names.end());
      const std::string place = piece == text ? "" : fmt::format(" in '{}'", text);
      refuse(fmt::format("unknown augmentation '{}'{}; {}", name, place, suggest(name, known)));
    }
    order.emplace_back(std::distance(k_names.begin(), found), piece);
    const bool given = colon != std::string::npos;
    set(augmentation, name, {*found, given ? std::string_view(piece).substr(colon + 1) : "", given}, shape);
  }

  const auto sorted = [&] {
    auto list = order;
    std::ranges::stable_sort(list, {}, [](const auto& entry) { return entry.first; });
    return list;
  }();
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i].first == sorted[i - 1].first)
      refuse(fmt::format("augmentation '{}' has {} twice; leave one out", text,
                         k_names[static_cast<std::size_t>(sorted[i].first)]));
  if (sorted != order) {
    std::vector<std::string> names;
    for (const auto& entry : sorted) names.push_back(entry.second);
    refuse(fmt::format("augmentation '{}' is not in the order of application; write '{}'", text, join(names, "+")));
  }
  return augmentation;
}

std::string Augmentation::text() const {
  std::vector<std::string> pieces;
  if (pad > 0) pieces.push_back(fmt::format("crop:{}", pad));
  if (smallest_share > 0) pieces.push_back(fmt::format("rrc:{}", format_number(smallest_share)));
  if (flip) pieces.emplace_back("flip");
  if (jitter.any())
    pieces.push_back(fmt::format("jitter:brightness={},contrast={},saturation={},hue={}", jitter.brightness,
                                 jitter.contrast, jitter.saturation, jitter.hue));
  if (autoaugment) pieces.emplace_back("autoaugment");
  if (operations > 0) pieces.push_back(fmt::format("randaugment:n={},m={}", operations, strength));
  if (cutout > 0) pieces.push_back(fmt::format("cutout:{}", cutout));
  if (mixup > 0) pieces.push_back(fmt::format("mixup:{}", format_number(mixup)));
  if (cutmix > 0) pieces.push_back(fmt::format("cutmix:{}", format_number(cutmix)));
  return pieces.empty() ? "none" : join(pieces, "+");
}

void require_applicable(const Augmentation& a, const Dataset& data) {
  if (data.is_features()) {
    Augmentation of_images = a;
    of_images.mixup = 0;
    if (const std::string text = of_images.text(); text != "none")
      refuse(fmt::format("augmentation '{}' is for images, but '{}' has features; only mixup applies to them", text,
                         data.name));
  }
  const std::int64_t side = std::min(data.shape.height, data.shape.width);
  const auto range = [](std::string_view what, auto came, std::string_view expected) {
    refuse(fmt::format("{} is {}, expected {}", what, came, expected));
  };
  if (a.pad < 0 || (a.pad > 0 && a.pad >= side))
    refuse(fmt::format("padding is {} pixels, expected 0 to {} for images of {} x {}", a.pad, side - 1,
                       data.shape.width, data.shape.height));
  if (!(a.smallest_share >= 0 && a.smallest_share <= 1))
    range("the share of rrc", a.smallest_share, "above 0, up to 1");
  for (const auto& [name, value, most] : {std::tuple{"brightness", a.jitter.brightness, 10.0},
                                          {"contrast", a.jitter.contrast, 10.0},
                                          {"saturation", a.jitter.saturation, 10.0},
                                          {"hue", a.jitter.hue, 0.5}})
    if (!(value >= 0 && value <= most)) range(fmt::format("{} of jitter", name), value, fmt::format("0 to {}", most));
  if (a.operations < 0 || a.operations > 100) range("n of randaugment", a.operations, "0 to 100");
  if (a.strength < 0 || a.strength > k_most_strength)
    range("m of randaugment", a.strength, fmt::format("0 to {}", k_most_strength));
  if (a.cutout < 0 || (a.cutout > 0 && a.cutout > side))
    refuse(fmt::format("the square of cutout is {} pixels wide, expected 1 to {} for images of {} x {}", a.cutout, side,
                       data.shape.width, data.shape.height));
  for (const auto& [name, alpha] : {std::pair{"mixup", a.mixup}, {"cutmix", a.cutmix}})
    if (!(alpha >= 0 && alpha <= 1000)) range(fmt::format("alpha of {}", name), alpha, "above 0, up to 1000");

  if (data.shape.channels != 3 && (a.jitter.saturation > 0 || a.jitter.hue > 0))
    refuse(
        fmt::format("jitter of saturation or hue needs RGB images, but '{}' has {} channel{}; write "
                    "'jitter:saturation=0'",
                    data.name, data.shape.channels, data.shape.channels == 1 ? ", grey" : "s"));
  if (data.shape.channels != 3 && data.shape.channels != 1 &&
      (a.autoaugment || a.operations > 0 || a.jitter.contrast > 0))
    refuse(
        fmt::format("jitter, autoaugment and randaugment need RGB or grey images, but '{}' has {} channels; leave "
                    "them out",
                    data.name, data.shape.channels));

  const auto exclude = [](bool both, std::string_view one, std::string_view other, std::string_view reason) {
    if (both) refuse(fmt::format("augmentations {} and {} exclude each other: {}; choose one", one, other, reason));
  };
  exclude(a.pad > 0 && a.smallest_share > 0, "crop", "rrc", "both choose a part of the image");
  exclude(a.autoaugment && a.operations > 0, "autoaugment", "randaugment", "both choose operations");
  exclude(a.mixup > 0 && a.cutmix > 0, "mixup", "cutmix", "a batch is mixed once");
}

void augment(const Augmentation& a, std::span<std::uint8_t> pixels, const ImageShape& shape, Stream stream) {
  const Image image{pixels, shape};
  if (a.pad > 0) random_crop(image, a.pad, stream);
  if (a.smallest_share > 0) random_resized_crop(image, a.smallest_share, stream);
  if (a.flip && stream.below(2) == 1) image.each_plane([](cv::Mat plane) { cv::flip(plane, plane, 1); });
  if (a.jitter.any()) random_jitter(image, a.jitter, stream);
  if (a.autoaugment)
    for (const Step& step : k_cifar10_policy[static_cast<std::size_t>(stream.below(k_cifar10_policy.size()))]) {
      const bool applied = stream.uniform() < step.probability;
      const bool negative = stream.below(2) == 1;
      if (applied) apply(image, step.operation, step.level / 9.0, negative);
    }
  for (std::int64_t i = 0; i < a.operations; ++i) {
    const auto operation = static_cast<Operation>(stream.below(k_rand_operations));
    const bool negative = stream.below(2) == 1;
    apply(image, operation, static_cast<double>(a.strength) / k_most_strength, negative);
  }
  if (a.cutout > 0) random_cutout(image, a.cutout, stream);
}

ImagePart random_part(std::int64_t height, std::int64_t width, double smallest_share, Stream& stream) {
  constexpr double k_widest = 4.0 / 3;
  const auto rows = static_cast<double>(height), columns = static_cast<double>(width);
  for (int tries = 0; tries < 10; ++tries) {
    const double area = rows * columns * (smallest_share + (1 - smallest_share) * stream.uniform());
    const double ratio = std::exp(std::log(k_widest) * (2 * stream.uniform() - 1));
    const std::int64_t w = std::llround(std::sqrt(area * ratio)), h = std::llround(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const auto top = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(height - h + 1)));
    const auto left = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(width - w + 1)));
    return {.top = top, .left = left, .height = h, .width = w};
  }
  const std::int64_t w = std::llround(std::min(columns, rows * k_widest));
  const std::int64_t h = std::llround(std::min(rows, columns * k_widest));
  return {.top = (height - h) / 2, .left = (width - w) / 2, .height = h, .width = w};
}

Mixing mix(const Augmentation& augmentation, std::span<float> pixels, std::int64_t size, const ImageShape& shape,
           Stream stream) {
  Mixing mixing;
  mixing.lambda = beta_variate(augmentation.cutmix > 0 ? augmentation.cutmix : augmentation.mixup, stream);
  mixing.partner.resize(static_cast<std::size_t>(size));
  std::iota(mixing.partner.begin(), mixing.partner.end(), std::int64_t{0});
  stream.shuffle(std::span(mixing.partner));

  const auto length = static_cast<std::size_t>(shape.pixels());
  const std::vector<float> before(pixels.begin(), pixels.end());
  const auto partner_of = [&](std::size_t i) {
    return std::span(before).subspan(static_cast<std::size_t>(mixing.partner[i]) * length, length);
  };
  if (augmentation.cutmix == 0) {
    const auto own = static_cast<float>(mixing.lambda), other = static_cast<float>(1 - mixing.lambda);
    for (std::size_t i = 0; i < mixing.partner.size(); ++i) {
      const std::span<const float> partner = partner_of(i);
      const std::span<float> sample = pixels.subspan(i * length, length);
      for (std::size_t p = 0; p < length; ++p) sample[p] = own * sample[p] + other * partner[p];
    }
    return mixing;
  }

  const double share = std::sqrt(1 - mixing.lambda);
  const auto y = static_cast<int>(stream.below(static_cast<std::uint64_t>(shape.height)));
  const auto x = static_cast<int>(stream.below(static_cast<std::uint64_t>(shape.width)));
  const auto height = static_cast<int>(share * static_cast<double>(shape.height));
  const auto width = static_cast<int>(share * static_cast<double>(shape.width));
  const cv::Rect whole(0, 0, static_cast<int>(shape.width), static_cast<int>(shape.height));
  const cv::Rect box = cv::Rect(x - width / 2, y - height / 2, width, height) & whole;
  for (std::size_t i = 0; i < mixing.partner.size(); ++i)
    for (std::int64_t row = 0; row < shape.channels * shape.height; ++row)
      if (const auto in_plane = row % shape.height; in_plane >= box.y && in_plane < box.y + box.height) {
        const auto begin = static_cast<std::size_t>(row * shape.width + box.x);
        std::ranges::copy(partner_of(i).subspan(begin, static_cast<std::size_t>(box.width)),
                          pixels.begin() + static_cast<std::ptrdiff_t>(i * length + begin));
      }
  mixing.lambda = 1 - static_cast<double>(box.area()) / static_cast<double>(whole.area());
  return mixing;
}

}  // namespace ulmus
