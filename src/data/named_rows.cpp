#include "data/named_rows.hpp"

#include <fmt/format.h>

#include "data/cells.hpp"
#include "data/csv_rows.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus::detail {

void visit_named_rows(std::string_view bytes, const std::filesystem::path& file, const RowVisitor& header,
                      const RowVisitor& row) {
  const std::string content = utf8_text(bytes, file);
  std::string_view text = content;
  const char separator = take_separator_line(text);
  char delimiter = separator != '\0' ? separator : guess_delimiter(text);
  if (delimiter == k_no_delimiter && is_spaced(text, file)) delimiter = k_space;
  RowReader reader(text, file, delimiter, separator != '\0' ? 2 : 1);
  const auto next = [&] {
    while (reader.next())
      if (!reader.fields[0].starts_with('#')) return true;
    return false;
  };
  if (!next())
    throw Error(ErrorKind::data, fmt::format("'{}' is empty, expected a header line with the names of the columns and "
                                             "rows below it",
                                             file.string()));
  const std::size_t columns = reader.fields.size();
  header(reader.fields, reader.line);
  bool any = false;
  for (; next(); any = true) {
    if (reader.fields.size() != columns)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' line {} has {} fields, expected {} as in the header; correct the line, or quote "
                              "fields that hold a delimiter",
                              file.string(), reader.line, reader.fields.size(), columns));
    row(reader.fields, reader.line);
  }
  if (!any) throw Error(ErrorKind::data, fmt::format("'{}' has a header but no row; add rows", file.string()));
}

double number_cell(const std::string& cell, const std::filesystem::path& file, std::int64_t line,
                   std::string_view column) {
  const std::optional<double> number = number_in(cell);
  if (!number)
    throw Error(ErrorKind::data, fmt::format("'{}' line {}: column '{}' is '{}', expected a finite number",
                                             file.string(), line, printable(column), printable(cell)));
  return *number;
}

}  // namespace ulmus::detail
