#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ulmus::detail {

/// A data address taken apart: `source`, `source:rest` or `source:rest?key=value&key=value`.
struct Address {
  std::string text;                                       ///< as it was given
  std::string source;                                     ///< one of the known ones
  std::string rest;                                       ///< as it was given
  std::vector<std::pair<std::string, std::string>> keys;  ///< as they were given; each once, not empty

  std::optional<std::string> find(std::string_view key) const;
  /// The pieces of a value between commas; none without the key.
  std::vector<std::string> list(std::string_view key) const;
  /// The rest as one path.
  std::string file() const;
  /// The pieces of the rest between commas.
  std::vector<std::string> files() const;
};

/// In what follows the colon, `%26`, `%2C`, `%3F` and `%25` stand for `&`, `,`, `?` and `%`; other percent signs for
/// themselves. `folder:DIR` has no keys, and its rest is taken as it is.
///
/// Throws Error{usage} for an unknown source or key (with the nearest name), a rest that is missing or one too many, a
/// key without a value or given twice.
Address parse_address(std::string_view text);

/// The piece of an address that a text becomes part of: the inverse of the signs above.
std::string escape_address(std::string_view text);

}  // namespace ulmus::detail
