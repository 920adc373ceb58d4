#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// Writes predictions as text, one per line.
///
///     csv     a header, then the fields; quoted if RFC 4180 requires it, lines end with \n
///     jsonl   one object per line
///
/// The fields that identify a sample come first, as pairs of name and value. Then `predicted` (the name of its class,
/// the lowest index on a tie), `probability`, and the probabilities of all classes in their order (columns `p(NAME)`;
/// an object `probabilities`), or of the K largest (columns `class_1,p_1,...`; a list `top`). Probabilities have six
/// significant digits. Text that is not UTF-8 is unchanged in CSV; in JSON, U+FFFD replaces it.
class PredictionWriter {
 public:
  enum class Format { csv, jsonl };
  /// Parses "csv" or "jsonl"; throws Error{usage} with the nearest name.
  static Format parse_format(std::string_view name);
  /// The format of a file by its name: jsonl if it ends in `.jsonl`, else csv.
  static Format format_of(const std::filesystem::path& file);

  /// A field of a sample; numbers are written without quotes in JSON.
  struct Field {
    std::string name;
    std::string value;
    bool is_number = false;
  };

  /// `top` = 0: all classes. Throws Error{usage} unless 0 <= top <= C.
  PredictionWriter(Format format, std::vector<std::string> class_names, std::int64_t top);

  /// The header line, or an empty text; `fields` are the field names of every line.
  std::string header(std::span<const std::string> fields) const;
  std::string line(std::span<const Field> fields, std::span<const double> probabilities) const;
  /// The same for a class that was chosen otherwise than as the most probable one; `probability` is its own.
  std::string line(std::span<const Field> fields, std::span<const double> probabilities, std::int64_t predicted) const;

 private:
  Format format_;
  std::vector<std::string> class_names_;
  std::int64_t top_;
};

/// Returns `text` as a CSV field: quoted if it contains a comma, a quote, a line break, or a space at an end. A text
/// that is not a number and begins with = + - @, a tab or a carriage return, which spreadsheets interpret as a formula,
/// is prefixed with ', which marks it as text.
std::string csv_field(std::string_view text);

}  // namespace ulmus
