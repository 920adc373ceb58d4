#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus::detail {

/// If no delimiter is found, a line is one field; no text contains this character.
constexpr char k_no_delimiter = '\0';

/// Columns are separated by any number of spaces and tabs, which may also surround a line.
constexpr char k_space = ' ';

/// Reads the rows of a CSV (RFC 4180) one after the other. Refers to the text and the path.
class RowReader {
 public:
  RowReader(std::string_view text, const std::filesystem::path& file, char delimiter, std::int64_t first_line)
      : text_(text), file_(file), delimiter_(delimiter), number_(first_line) {}

  std::vector<std::string> fields;
  std::int64_t line = 0;         ///< line where the row begins
  std::int64_t blank_lines = 0;  ///< number of skipped lines
  bool blank_is_a_row = false;   ///< true in a file of one column, where a blank line is a missing cell

  /// Reads the next row; false at the end. Throws Error{data} naming the line of a quote that is not closed or is
  /// followed by text.
  bool next();

 private:
  bool at_line_end() const;
  bool at_white() const;
  bool at_delimiter() const;
  void skip_white();
  void pass_line_end();
  bool more();
  bool field();
  void quoted_field(std::string& text);

  std::string_view text_;
  const std::filesystem::path& file_;
  char delimiter_;
  bool spaced_ = delimiter_ == k_space;
  std::size_t at_ = 0;
  std::int64_t number_;    ///< number of the line at `at_`
  std::size_t count_ = 0;  ///< number of fields of the row so far
};

/// The most frequent delimiter in the first line that is neither blank nor a comment.
char guess_delimiter(std::string_view text);

/// Returns whether only white space separates the columns: the header has several words, and the next row has as many.
bool is_spaced(std::string_view text, const std::filesystem::path& file);

/// Removes Excel's line `sep=;` from the text; returns the delimiter that it names, or '\0'.
char take_separator_line(std::string_view& text);

}  // namespace ulmus::detail
