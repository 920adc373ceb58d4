#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ulmus {

/// `text` in Unicode's composed form (NFC): one spelling for letters with accents. `text` is UTF-8.
std::string compose(std::string_view text);

/// What spellings have in common that differ in case, width or invisible characters alone: Unicode's NFKC_Casefold.
std::string fold(std::string_view text);

/// `text`, in UTF-8, without white space at its ends: ASCII's, Unicode's spaces, byte order marks.
std::string_view trim(std::string_view text);

/// A class's name as it is kept: composed, without white space (that of Unicode, too) at its ends.
std::string class_name(std::string_view text);

/// The same for names that look alike: folded, runs of white space as one space.
std::string lookalike_key(std::string_view name);

/// One spelling for every decimal number: "1" for "1", "01", "+1", "1.0" and "1e0", "0" for "-0"; exact for any number
/// of digits. Nothing for other texts, or beyond 1e±300.
std::optional<std::string> number_name(std::string_view text);

/// "true" or "false" when `text` is that in any case.
std::optional<std::string> boolean_name(std::string_view text);

/// A function of the two above, when it has a result for all of `names`: they are all numbers or all booleans.
/// Otherwise null.
using Spelling = std::optional<std::string> (*)(std::string_view);
Spelling common_spelling(std::span<const std::string> names);

/// Whether a label is a mark of a missing value: empty, `?`, `-`, `--`, `.`, `\N`, or in any case NA, N/A, NaN, NaT,
/// null, nil, none, with `#`, `<>` or a sign around it as programs write them.
bool is_missing_mark(std::string_view text);

/// Sorts names of classes: as numbers when all are decimal numbers, otherwise in the order of their bytes.
void sort_classes(std::vector<std::string>& names);

/// Finds classes by name: as it is, or where all names are numbers or booleans, the same number or boolean.
class NameIndex {
 public:
  explicit NameIndex(std::span<const std::string> names);
  std::optional<std::int64_t> find(std::string_view text) const;
  /// "; did you mean 'dog'?" when a name is near, otherwise "; the classes are 'cat', 'dog' ...".
  std::string advice(std::string_view text) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::int64_t> exact_;
  Spelling spelling_ = nullptr;
  std::unordered_map<std::string, std::int64_t> values_;  ///< by `spelling_`
};

}  // namespace ulmus
