#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/base/class_values.hpp"

namespace ulmus {

struct ScoreFileOptions {
  std::string label = {};                 ///< column of the true classes; empty: none
  bool label_is_optional = false;         ///< a file without the label's column has no labels
  std::vector<std::string> carry = {};    ///< columns that are no scores and are carried along
  std::vector<std::string> classes = {};  ///< [C] the classes in their order; empty: the other columns are the classes
  std::string classes_from = {};          ///< what names them, for messages: "'counts.csv'"
  bool ignore_others = false;             ///< with `classes`: columns that are no class are skipped, not refused
};

/// Scores of any tool, read from a table with a column for every class.
struct ScoreFile {
  std::filesystem::path file;
  std::vector<std::string> class_names;    ///< [C], in the order of the columns
  std::vector<double> scores;              ///< [N * C], row by row
  std::vector<std::int64_t> labels;        ///< [N], each in [0, C); empty without labels
  std::vector<std::string> carried_names;  ///< [K]
  std::vector<std::string> carried;        ///< [N * K]
  std::vector<std::int64_t> lines;         ///< [N], line of the file where the row begins, from 1

  std::int64_t rows() const { return static_cast<std::int64_t>(lines.size()); }
  /// "'scores.csv' line 7", for messages.
  std::string place(std::int64_t row) const;
};

/// Reads CSV as read_csv() does: encodings, delimiters, gzip and comments. The columns of scores have the names of the
/// classes, or `p(NAME)` as `ulmus predict` writes them; then other columns are ignored. White space around names is
/// ignored, numbers are equal in any spelling (`1`, `1.0`), and a column without a name is skipped.
///
/// Throws Error{usage} for a column of the options that the file lacks; Error{data} naming file and line for no rows, a
/// column that names no class, a class without a column, a cell that is not a finite number, and a label that is no
/// class.
ScoreFile read_scores(const std::filesystem::path& file, const ScoreFileOptions& options);
/// The same for the decompressed content of a file.
ScoreFile parse_scores(std::string_view bytes, const std::filesystem::path& file, const ScoreFileOptions& options);

/// Reads a matrix by class names: a header with their names after a first cell of any content, then a row per class
/// that begins with its name. Rows are true classes and columns predicted ones. The result is in the order of
/// `class_names`. [C * C], row by row
///
/// Throws Error{data} naming file and line for a matrix that is not square, an unknown, repeated or missing class, and
/// a cell that is not a finite number.
std::vector<double> read_class_matrix(const std::filesystem::path& file, std::span<const std::string> class_names);
std::vector<double> parse_class_matrix(std::string_view bytes, const std::filesystem::path& file,
                                       std::span<const std::string> class_names);

/// Whole numbers of at least 0 in the order of the classes, of a file with a number per class. Throws Error{data}
/// naming file and line for another value, and as in_class_order() does.
std::vector<std::int64_t> counts_in_class_order(const ClassValues& values, std::span<const std::string> class_names);

}  // namespace ulmus
