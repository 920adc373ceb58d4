#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace ulmus::detail {

/// Called with the names of the columns or the fields of a row, and the line where they begin.
using RowVisitor = std::function<void(std::span<const std::string> fields, std::int64_t line)>;

/// Reads a CSV with a header, row by row: encoding, delimiter, `sep=;`, comment and blank lines as read_csv(). Throws
/// Error{data} naming file and line: an empty file, no rows, a row of another length than the header.
void visit_named_rows(std::string_view bytes, const std::filesystem::path& file, const RowVisitor& header,
                      const RowVisitor& row);

/// A cell as a finite number. Throws Error{data}; `column` is for the message.
double number_cell(const std::string& cell, const std::filesystem::path& file, std::int64_t line,
                   std::string_view column);

}  // namespace ulmus::detail
