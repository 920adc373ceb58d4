#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ulmus/data/table.hpp"

namespace ulmus::detail {

/// Indexed by DatePart.
constexpr std::array<std::string_view, 5> k_date_part_names{"time", "year", "month", "weekday", "clock"};

/// TableColumn::left_out of a column whose texts identify the rows.
constexpr char k_every_text_differs[] = "has another text in every row, from which nothing can be learnt";

/// Decides how every column of a table is read and which are left out: as in `trained`, or from the cells (see
/// read_csv). The delimiter of `options` is that of the file. Throws Error{data} for a column where almost all cells
/// are of one kind, naming the line of the exception, and for an ambiguous column.
void decide_columns(Table& table, const CsvOptions& options, const TableEncoding* trained);

/// Throws Error{data} for the first cell that does not match its column's kind and format; `where` completes the
/// message "the column is numbers ...".
void check_cells(const Table& table, std::string_view where, std::string_view cure);

/// Parses a cell of a numeric column; nothing if it is missing. Throws Error{data} if it does not match the format.
std::optional<double> number_at(const Table& table, std::int64_t row, std::size_t column, const NumberFormat& format);

/// Number of rows for every level of a categorical column, in byte order. Cells are compared like labels: white space
/// at the ends and Unicode forms are ignored, and so are the case of booleans and the spelling of numbers if all cells
/// are such.
std::map<std::string, std::int64_t> level_counts(const Table& table, std::size_t column,
                                                 std::span<const std::int64_t> rows);

}  // namespace ulmus::detail
