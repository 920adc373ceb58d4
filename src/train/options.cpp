#include "ulmus/train/options.hpp"

#include <fmt/format.h>

#include <type_traits>

#include "ulmus/base/text.hpp"

namespace ulmus {

std::string to_toml(const RunOptions& options) {
  std::string text;
  visit_options(options, [&](const char* name, const auto& value, const char*) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, std::string>) {
      std::string escaped;
      for (const char c : value) {
        if (c == '"' || c == '\\') escaped += '\\';
        escaped += c;
      }
      text += fmt::format("{} = \"{}\"\n", name, escaped);
    } else if constexpr (std::is_same_v<Value, double>) {
      text += fmt::format("{} = {}\n", name, format_number(value));
    } else {
      text += fmt::format("{} = {}\n", name, value);
    }
  });
  return text;
}

}  // namespace ulmus
