#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/policies.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/augment.hpp"

namespace ulmus {
namespace {

using detail::k_most_strength;

/// In the order of application.
const std::array<std::string, 9> k_names{"crop",        "rrc",    "flip",  "jitter", "autoaugment",
                                         "randaugment", "cutout", "mixup", "cutmix"};

/// The text after a name's colon: one value, or keys with values.
class Settings {
 public:
  Settings(std::string_view name, std::string_view value, bool given) : name_(name), value_(value), given_(given) {}

  void reject_any() const {
    if (given_) throw_usage(fmt::format("augmentation '{}' takes nothing after its name; write '{}'", name_, name_));
  }

  double number(double otherwise) const {
    return given_ ? parse_number(value_, fmt::format("the value of augmentation '{}'", name_)) : otherwise;
  }

  std::int64_t integer(std::int64_t otherwise) const {
    return given_ ? parse_integer(value_, fmt::format("the value of augmentation '{}'", name_)) : otherwise;
  }

  /// Assigns each `key=value` to the variable of that key.
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
        throw_usage(
            fmt::format("unknown key '{}' in augmentation '{}:{}'; {}", key, name_, value_, suggest(key, keys)));
      if (std::ranges::find(seen, key) != seen.end())
        throw_usage(fmt::format("{} is given twice in augmentation '{}:{}'; leave one out", key, name_, value_));
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

/// `require_applicable` checks values against the data; here only values without any effect are rejected.
void set(Augmentation& a, std::string_view name, const Settings& settings, const ImageShape& shape) {
  const auto positive = [&](auto value) {
    if (!(value > 0)) throw_usage(fmt::format("the value of augmentation '{}' is {}, expected above 0", name, value));
    return value;
  };
  if (name == "crop") {
    a.pad = positive(settings.integer(std::max<std::int64_t>(1, shape.height / 8)));
  } else if (name == "rrc") {
    a.smallest_share = positive(settings.number(0.08));
  } else if (name == "flip") {
    settings.reject_any();
    a.flip = true;
  } else if (name == "jitter") {
    a.jitter = {.brightness = 0.4, .contrast = 0.4, .saturation = 0.4};
    settings.assign<double>({{"brightness", &a.jitter.brightness},
                             {"contrast", &a.jitter.contrast},
                             {"saturation", &a.jitter.saturation},
                             {"hue", &a.jitter.hue}});
  } else if (name == "autoaugment") {
    settings.reject_any();
    a.autoaugment = true;
  } else if (name == "randaugment") {
    a.operations = 2;
    settings.assign<std::int64_t>({{"n", &a.operations}, {"m", &a.strength}});
    if (a.operations < 1)
      throw_usage(fmt::format("n of augmentation 'randaugment' is {}, expected 1 or more", a.operations));
  } else if (name == "cutout") {
    a.cutout = positive(settings.integer(std::max<std::int64_t>(1, std::min(shape.height, shape.width) / 2)));
  } else if (name == "mixup") {
    a.mixup = positive(settings.number(0.2));
  } else {
    a.cutmix = positive(settings.number(1));
  }
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
      throw_usage(fmt::format("unknown augmentation '{}'{}; {}", name, place, suggest(name, known)));
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
      throw_usage(fmt::format("augmentation '{}' has {} twice; leave one out", text,
                              k_names[static_cast<std::size_t>(sorted[i].first)]));
  if (sorted != order) {
    std::vector<std::string> names;
    for (const auto& entry : sorted) names.push_back(entry.second);
    throw_usage(
        fmt::format("augmentation '{}' is not in the order of application; write '{}'", text, join(names, "+")));
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
      throw_usage(fmt::format("augmentation '{}' is for images, but '{}' has features; only mixup applies to them",
                              text, data.name()));
  }
  const std::int64_t side = std::min(data.shape().height, data.shape().width);
  const auto range = [](std::string_view what, auto came, std::string_view expected) {
    throw_usage(fmt::format("{} is {}, expected {}", what, came, expected));
  };
  if (a.pad < 0 || (a.pad > 0 && a.pad >= side))
    throw_usage(fmt::format("padding is {} pixels, expected 0 to {} for images of {} x {}", a.pad, side - 1,
                            data.shape().width, data.shape().height));
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
    throw_usage(fmt::format("the square of cutout is {} pixels wide, expected 1 to {} for images of {} x {}", a.cutout,
                            side, data.shape().width, data.shape().height));
  for (const auto& [name, alpha] : {std::pair{"mixup", a.mixup}, {"cutmix", a.cutmix}})
    if (!(alpha >= 0 && alpha <= 1000)) range(fmt::format("alpha of {}", name), alpha, "above 0, up to 1000");

  if (data.shape().channels != 3 && (a.jitter.saturation > 0 || a.jitter.hue > 0))
    throw_usage(
        fmt::format("jitter of saturation or hue needs RGB images, but '{}' has {} channel{}; write "
                    "'jitter:saturation=0'",
                    data.name(), data.shape().channels, data.shape().channels == 1 ? ", grey" : "s"));
  if (data.shape().channels != 3 && data.shape().channels != 1 &&
      (a.autoaugment || a.operations > 0 || a.jitter.contrast > 0))
    throw_usage(
        fmt::format("jitter, autoaugment and randaugment need RGB or grey images, but '{}' has {} channels; leave "
                    "them out",
                    data.name(), data.shape().channels));

  const auto exclude = [](bool both, std::string_view one, std::string_view other, std::string_view reason) {
    if (both)
      throw_usage(fmt::format("augmentations {} and {} exclude each other: {}; choose one", one, other, reason));
  };
  exclude(a.pad > 0 && a.smallest_share > 0, "crop", "rrc", "both choose a part of the image");
  exclude(a.autoaugment && a.operations > 0, "autoaugment", "randaugment", "both choose operations");
  exclude(a.mixup > 0 && a.cutmix > 0, "mixup", "cutmix", "a batch is mixed once");
}

}  // namespace ulmus
