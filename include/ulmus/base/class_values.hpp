#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

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
