#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// A file with one number per class.
struct ClassValues {
  struct Line {
    std::string name;   ///< empty in a file that contains only numbers
    std::string value;  ///< not validated yet
    std::int64_t line;  ///< line number in the file, from 1
  };
  std::filesystem::path file;
  std::vector<Line> lines;
  bool named = false;
  std::int64_t header = 0;  ///< line number of the skipped header; 0: none
};

/// Parses lines `value` or `name,value` (the comma may be a tab, a semicolon or white space; a name may be quoted as in
/// CSV). A first line without a number is a header. Empty lines and text after a `#` that follows white space are
/// ignored. Throws Error{data} naming file and line.
ClassValues parse_class_values(std::string_view bytes, const std::filesystem::path& file);
ClassValues read_class_values(const std::filesystem::path& file);

/// Returns the lines in the order of the classes, [C]: in file order for a file that contains only numbers, otherwise
/// by name. Without `class_names` the classes are called "0" to "C - 1". Throws Error{data} for a wrong number of
/// lines, or for the first name that is unknown, duplicate or missing.
std::vector<ClassValues::Line> in_class_order(const ClassValues& values, std::span<const std::string> class_names,
                                              std::int64_t classes);

}  // namespace ulmus
