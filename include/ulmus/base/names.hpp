#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ulmus {

/// Returns `text` (UTF-8) in Unicode's composed form (NFC), so that letters with accents have one spelling.
std::string compose(std::string_view text);

/// Returns a key that is equal for spellings that differ only in case, width or invisible characters: Unicode's
/// NFKC_Casefold.
std::string fold(std::string_view text);

/// Returns `text` (UTF-8) without leading and trailing white space: ASCII white space, Unicode spaces, byte order
/// marks.
std::string_view trim(std::string_view text);

/// Returns the stored form of a class name: composed, without leading and trailing white space (including Unicode's).
std::string class_name(std::string_view text);

/// Returns a key that is equal for names that look alike: folded, with each run of white space as one space.
std::string lookalike_key(std::string_view name);

/// Canonical spelling of a decimal number: "1" for "1", "01", "+1", "1.0" and "1e0", "0" for "-0"; exact for any number
/// of digits. Returns nothing for other text, or beyond 1e±300.
std::optional<std::string> number_name(std::string_view text);

/// Returns "true" or "false" if `text` is that word in any case.
std::optional<std::string> boolean_name(std::string_view text);

/// Returns number_name or boolean_name, whichever has a result for all `names`, i.e. they are all numbers or all
/// booleans. Otherwise null.
using Spelling = std::optional<std::string> (*)(std::string_view);
Spelling common_spelling(std::span<const std::string> names);

/// Returns whether a label marks a missing value: empty, `?`, `-`, `--`, `.`, `\N`, or in any case NA, N/A, NaN, NaT,
/// null, nil, none, including the forms with `#`, `<>` or a sign that programs write.
bool is_missing_mark(std::string_view text);

/// Sorts class names: numerically if all are decimal numbers, otherwise by their bytes.
void sort_classes(std::vector<std::string>& names);

/// Finds classes by name: the exact name or, if all names are numbers or booleans, the same number or boolean.
class NameIndex {
 public:
  explicit NameIndex(std::span<const std::string> names);
  std::optional<std::int64_t> find(std::string_view text) const;
  /// "; did you mean 'dog'?" if a similar name exists, otherwise "; the classes are 'cat', 'dog' ...".
  std::string advice(std::string_view text) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::int64_t> exact_;
  Spelling spelling_ = nullptr;
  std::unordered_map<std::string, std::int64_t> values_;  ///< keyed by the result of `spelling_`
};

}  // namespace ulmus
