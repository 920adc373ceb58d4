#pragma once

#include <string>
#include <string_view>

namespace ulmus {

/// `text` with A to Z in lower case, every other byte as it is, in every locale.
inline std::string ascii_lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

}  // namespace ulmus
