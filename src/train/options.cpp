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

[[noreturn]] void throw_at_line(const std::string& source, long long line, const std::string& why) {
  throw Error(ErrorKind::data, fmt::format("'{}', line {}: {}", source, line, why));
}

std::string quoted(const std::string& text) {
  std::ostringstream stream;
  stream << toml::toml_formatter(toml::value<std::string>(text), toml::format_flags::none);
  return stream.str();
}

template <class Value>
inline constexpr bool k_is_optional = false;
template <class Value>
inline constexpr bool k_is_optional<std::optional<Value>> = true;

std::string toml_value(const std::string& value) { return quoted(value); }
std::string toml_value(const std::vector<LossSpec>& value) { return quoted(option_text(value)); }
template <class Value>
std::string toml_value(const Value& value) {
  return option_text(value);
}

/// Calls expected(type) if the setting does not have the field's type.
template <class Field, class Expected>
void read_value(const Setting& setting, Field& field, Expected expected) {
  if constexpr (k_is_optional<Field>) {
    field.reset();
    using Value = typename Field::value_type;
    constexpr bool of_text = std::is_same_v<Value, std::string>;
    if (setting.is_text == of_text && (of_text ? setting.value.empty() : means_unset(setting.name, setting.value)))
      return;
    read_value(setting, field.emplace(), expected);
  } else if constexpr (std::is_same_v<Field, bool>) {
    if (setting.value != "true" && setting.value != "false") expected("true or false");
    field = setting.value == "true";
  } else if constexpr (std::is_arithmetic_v<Field>) {
    try {
      if constexpr (std::is_same_v<Field, double>) {
        field = parse_number(setting.value, setting.name);
      } else {
        const long long number = parse_integer(setting.value, setting.name);
        if (std::is_unsigned_v<Field> && number < 0) expected("at least 0");
        field = static_cast<Field>(number);
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      expected(std::is_same_v<Field, double> ? "a number" : "a whole number");
    }
  } else {
    if (!setting.is_text) expected("text in quotes");
    if constexpr (std::is_same_v<Field, std::string>)
      field = setting.value;
    else
      field = setting.value.empty() ? Field() : parse_losses(setting.value);
  }
}

/// The names of all options, for suggestions.
std::vector<std::string> option_names() {
  std::vector<std::string> names;
  const RunOptions defaults;
  visit_options(defaults, [&](const char* name, const auto&, const char*) { names.emplace_back(name); });
  return names;
}

}  // namespace

std::string option_text(const std::string& value) { return value; }
std::string option_text(bool value) { return value ? "true" : "false"; }
std::string option_text(std::int64_t value) { return fmt::format("{}", value); }
std::string option_text(std::uint64_t value) { return fmt::format("{}", value); }
std::string option_text(double value) { return format_number(value); }
std::string option_text(const std::vector<LossSpec>& value) {
  std::vector<std::string> texts;
  for (const LossSpec& loss : value) texts.push_back(loss.text());
  return join(texts, ",");
}

bool means_unset(std::string_view name, std::string_view text) { return text == (name == "weight-decay" ? "-1" : "0"); }

std::string to_toml(const RunOptions& options) {
  std::string text;
  visit_options(options, [&](const char* name, const auto& value, const char*) {
    if constexpr (k_is_optional<std::decay_t<decltype(value)>>) {
      if (value) text += fmt::format("{} = {}\n", name, toml_value(*value));
    } else {
      text += fmt::format("{} = {}\n", name, toml_value(value));
    }
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
        throw_at_line(
            source, line,
            fmt::format("'{}' is not one value, expected a line such as epochs = 30", printable(setting.name)));
      settings.push_back(std::move(setting));
    }
  } catch (const toml::parse_error& error) {
    throw_at_line(source, error.source().begin.line,
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
    try {
      read_value(setting, field, [&](const char* expected) {
        throw_at_line(source, setting.line,
                      fmt::format("{} is {}, expected {}", name,
                                  setting.is_text ? '"' + printable(setting.value) + '"' : setting.value, expected));
      });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      throw_at_line(source, setting.line, fmt::format("{}: {}", name, error.what()));
    }
  });
  return known;
}

void throw_unknown_setting(const Setting& setting, const std::string& source) {
  throw_at_line(
      source, setting.line,
      fmt::format("there is no option '{}'; {}", printable(setting.name), suggest(setting.name, option_names())));
}

RunOptions options_from_toml(std::string_view text, const std::string& source) {
  RunOptions options;
  for (const Setting& setting : parse_settings(text, source))
    if (!apply_setting(options, setting, source)) throw_unknown_setting(setting, source);
  return options;
}

}  // namespace ulmus
