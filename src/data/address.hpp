#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ulmus::detail {

/// A parsed data address: `source`, `source:rest` or `source:rest?key=value&key=value`.
struct Address {
  std::string text;                                       ///< as given
  std::string source;                                     ///< a known source
  std::string rest;                                       ///< as given
  std::vector<std::pair<std::string, std::string>> keys;  ///< as given; each once, not empty

  std::optional<std::string> find(std::string_view key) const;
  /// The comma-separated items of a value; none if the key is missing.
  std::vector<std::string> list(std::string_view key) const;
  /// The rest as one path.
  std::string file() const;
  /// The comma-separated items of the rest.
  std::vector<std::string> files() const;
};

/// After the colon, `%26`, `%2C`, `%3F` and `%25` stand for `&`, `,`, `?` and `%`; other percent signs are literal.
/// `folder:DIR` has no keys, and its rest is used unchanged.
///
/// Throws Error{usage} for an unknown source or key (with the nearest name), a rest that is missing or not allowed, and
/// a key that has no value or is duplicate.
Address parse_address(std::string_view text);

}  // namespace ulmus::detail
