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

/// By DatePart.
constexpr std::array<std::string_view, 5> k_date_part_names{"time", "year", "month", "weekday", "clock"};

/// TableColumn::left_out of a column whose texts name the rows.
constexpr char k_every_text_differs[] = "has another text in every row, from which nothing can be learnt";

/// Sets how every column of a table is read and which are left out: as `trained` says, or by their cells (see
/// read_csv). The delimiter of `options` is that of the file. Throws Error{data} for a column that is nearly of one
/// kind, naming the line that is not, and for one that can be read in two ways.
void decide_columns(Table& table, const CsvOptions& options, const TableEncoding* trained);

/// Throws Error{data} for the first cell that its column's kind and format do not allow; `where` ends the message's
/// "the column is numbers ...".
void check_cells(const Table& table, std::string_view where, std::string_view cure);

/// Of a cell of a numeric column; nothing when it is missing. Throws Error{data} when it is not of the format.
std::optional<double> number_at(const Table& table, std::int64_t row, std::size_t column, const NumberFormat& format);

/// Rows of every level of a categorical column, in byte order. Cells are compared as labels are: blanks at their ends,
/// Unicode forms, and the case of booleans and the spelling of numbers where all cells are such make no difference.
std::map<std::string, std::int64_t> level_counts(const Table& table, std::size_t column,
                                                 std::span<const std::int64_t> rows);

}  // namespace ulmus::detail
