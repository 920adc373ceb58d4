#pragma once

#include <string>
#include <string_view>

namespace ulmus {

/// Converts A to Z in `text` to lower case. All other bytes stay unchanged, independent of the locale.
inline std::string ascii_lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

}  // namespace ulmus
