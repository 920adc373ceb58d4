#include "ulmus/train/options.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <type_traits>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

[[noreturn]] void refuse(const std::string& source, long long line, const std::string& why) {
  throw Error(ErrorKind::data, fmt::format("'{}', line {}: {}", source, line, why));
}

std::string quoted(const std::string& text) {
  std::ostringstream stream;
  stream << toml::toml_formatter(toml::value<std::string>(text), toml::format_flags::none);
  return stream.str();
}

/// The names of every option, for "did you mean".
std::vector<std::string> option_names() {
  std::vector<std::string> names;
  const RunOptions defaults;
  visit_options(defaults, [&](const char* name, const auto&, const char*) { names.emplace_back(name); });
  return names;
}

}  // namespace

std::string to_toml(const RunOptions& options) {
  std::string text;
  visit_options(options, [&](const char* name, const auto& value, const char*) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, std::string>)
      text += fmt::format("{} = {}\n", name, quoted(value));
    else if constexpr (std::is_same_v<Value, double>)
      text += fmt::format("{} = {}\n", name, format_number(value));
    else
      text += fmt::format("{} = {}\n", name, value);
  });
  return text;
}

std::vector<Setting> parse_settings(std::string_view text, const std::string& source) {
  std::vector<Setting> settings;
  try {
    for (auto&& [key, node] : toml::parse(text)) {
      const long long line = key.source().begin.line;
      Setting setting{.name = std::string(key.str()), .value = {}, .is_text = node.is_string(), .line = line};
      if (const auto* string = node.as_string())
        setting.value = string->get();
      else if (const auto* integer = node.as_integer())
        setting.value = std::to_string(integer->get());
      else if (const auto* number = node.as_floating_point())
        setting.value = format_number(number->get());
      else if (const auto* boolean = node.as_boolean())
        setting.value = boolean->get() ? "true" : "false";
      else
        refuse(source, line,
               fmt::format("'{}' is not one value, expected a line such as epochs = 30", printable(setting.name)));
      settings.push_back(std::move(setting));
    }
  } catch (const toml::parse_error& error) {
    refuse(source, error.source().begin.line,
           fmt::format("this is not TOML: {}; expected lines such as losses = \"ce,elm\"", error.description()));
  }
  std::ranges::sort(settings, {}, &Setting::line);
  return settings;
}

bool apply_setting(RunOptions& options, const Setting& setting, const std::string& source) {
  bool known = false;
  visit_options(options, [&](std::string_view name, auto& field, const char*) {
    if (name != setting.name) return;
    known = true;
    const auto expected = [&](const char* what) {
      refuse(source, setting.line,
             fmt::format("{} is {}, expected {}", name,
                         setting.is_text ? '"' + printable(setting.value) + '"' : setting.value, what));
    };
    using Field = std::decay_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::string>) {
      if (!setting.is_text) expected("text in quotes");
      field = setting.value;
    } else if constexpr (std::is_same_v<Field, bool>) {
      if (setting.value != "true" && setting.value != "false") expected("true or false");
      field = setting.value == "true";
    } else {
      try {
        if constexpr (std::is_same_v<Field, double>) {
          field = parse_number(setting.value, name);
        } else {
          const long long number = parse_integer(setting.value, name);
          if (std::is_unsigned_v<Field> && number < 0) expected("at least 0");
          field = static_cast<Field>(number);
        }
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::usage) throw;
        expected(std::is_same_v<Field, double> ? "a number" : "a whole number");
      }
    }
  });
  return known;
}

void refuse_setting(const Setting& setting, const std::string& source) {
  refuse(source, setting.line,
         fmt::format("there is no option '{}'; {}", printable(setting.name), suggest(setting.name, option_names())));
}

RunOptions options_from_toml(std::string_view text, const std::string& source) {
  RunOptions options;
  for (const Setting& setting : parse_settings(text, source))
    if (!apply_setting(options, setting, source)) refuse_setting(setting, source);
  return options;
}

}  // namespace ulmus
