#pragma once

#include <cstdint>
#include <filesystem>
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

/// A class's name as it is kept: composed, without white space (that of Unicode, too) at its ends.
std::string class_name(std::string_view text);

/// What names have in common that look alike: folded, runs of white space as one space.
std::string looks_of(std::string_view name);

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

/// A file with a number for every class.
struct ClassValues {
  struct Line {
    std::string name;   ///< empty in a file of numbers alone
    std::string value;  ///< not checked yet
    std::int64_t line;  ///< of the file, from 1
  };
  std::filesystem::path file;
  std::vector<Line> lines;
  bool named = false;
  std::int64_t header = 0;  ///< the line passed over as one; 0: none
};

/// Reads lines `value` or `name,value` (the comma may be a tab, a semicolon or white space; a name may be quoted as in
/// CSV). A first line without a number is a header. Empty lines and what follows a `#` after white space are passed
/// over. Throws Error{data} naming file and line.
ClassValues parse_class_values(std::string_view bytes, const std::filesystem::path& file);
ClassValues read_class_values(const std::filesystem::path& file);

/// The lines in the order of the classes, [C]: as they stand in a file of numbers alone, otherwise by name. Without
/// `class_names` the classes are called "0" to "C - 1". Throws Error{data} for another number of lines, or the first
/// name that is no class, comes twice or is missing.
std::vector<ClassValues::Line> in_class_order(const ClassValues& values, std::span<const std::string> class_names,
                                              std::int64_t classes);

}  // namespace ulmus
