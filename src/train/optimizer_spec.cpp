#include "train/optimizer_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

constexpr double k_default_rho = 0.05;  // Foret et al.

}  // namespace

OptimizerSpec OptimizerSpec::parse(std::string_view text) {
  static const std::array<std::string, 4> k_names{"auto", "sgd", "adamw", "sam"};
  static const std::array<std::string, 4> k_keys{"rho", "base", "focal", "sharpness"};
  static const std::array<std::string, 2> k_bases{"sgd", "adamw"};
  const std::string option = option_name("optimizer");
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  if (std::ranges::find(k_names, name) == k_names.end())
    throw_usage(fmt::format("unknown {} '{}'; {}", option, text, suggest(name, k_names)));
  OptimizerSpec spec;
  if (name != "sam") {
    if (colon != std::string_view::npos)
      throw_usage(fmt::format("{} '{}' takes nothing after its name; write '{}'", option, text, name));
    if (name != "auto") spec.base = name;
    return spec;
  }
  spec.rho = k_default_rho;
  bool has_sharpness = false;
  if (colon == std::string_view::npos) return spec;
  for (const std::string& setting : split(text.substr(colon + 1), ',')) {
    const std::size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
    if (std::ranges::find(k_keys, key) == k_keys.end())
      throw_usage(fmt::format("unknown key '{}' in {} '{}'; {}", key, option, text, suggest(key, k_keys)));
    if (key == "base") {
      if (std::ranges::find(k_bases, value) == k_bases.end())
        throw_usage(fmt::format("unknown base '{}' in {} '{}'; {}", value, option, text, suggest(value, k_bases)));
      spec.base = value;
      continue;
    }
    const std::string what = fmt::format("{} in {} '{}'", key, option, text);
    const double number = parse_number(value, what);
    if (key == "focal" ? number < 0 : number <= 0)
      throw_usage(fmt::format("{} is {}, expected a number {}", what, value, key == "focal" ? "from 0 on" : "above 0"));
    if (key == "rho") spec.rho = number;
    if (key == "focal") spec.focal = number;
    if (key == "sharpness") spec.sharpness = number, has_sharpness = true;
  }
  if (has_sharpness && !spec.focal)
    throw_usage(fmt::format("sharpness in {} '{}' belongs to Focal-SAM; add focal=3, or leave it out", option, text));
  return spec;
}

std::string OptimizerSpec::text() const {
  if (!rho) return base.empty() ? "auto" : base;
  std::string text = fmt::format("sam:rho={}", format_number(*rho));
  if (!base.empty()) text += ",base=" + base;
  if (focal) text += fmt::format(",focal={},sharpness={}", format_number(*focal), format_number(sharpness));
  return text;
}

}  // namespace ulmus::detail
