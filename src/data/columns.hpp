#pragma once

#include <optional>
#include <string_view>

#include "ulmus/data/table.hpp"

namespace ulmus::detail {

/// Sets how every column of a table is read and which are left out: as `trained` says, or by their cells (see
/// read_csv). The delimiter of `options` is that of the file. Throws Error{data} for a column that is nearly of one
/// kind, naming the line that is not, and for one that can be read in two ways.
void decide_columns(Table& table, const CsvOptions& options, const TableEncoding* trained);

/// Throws Error{data} for the first cell that its column's kind and format do not allow; `where` ends the message's
/// "the column is numbers ...".
void check_cells(const Table& table, std::string_view where, std::string_view cure);

/// Of a cell of a numeric column; nothing when it is missing. Throws Error{data} when it is not of the format.
std::optional<double> number_at(const Table& table, std::int64_t row, std::size_t column, const NumberFormat& format);

}  // namespace ulmus::detail
