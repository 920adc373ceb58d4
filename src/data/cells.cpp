#include "data/cells.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "data/address.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {

bool is_missing(std::string_view cell) {
  const auto is = [&](std::string_view word) {
    return std::ranges::equal(cell, word,
                              [](char c, char w) { return c == w || (c >= 'A' && c <= 'Z' && c + 32 == w); });
  };
  return cell.empty() || cell == "?" || is("na") || is("nan") || is("null");
}

std::optional<double> number_in(std::string_view cell) {
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  double value = 0;
  const auto [stopped, status] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (cell.empty() || stopped != cell.data() + cell.size()) return std::nullopt;
  // Too large or too small: strtod tells which, and rounds the small ones.
  if (status == std::errc::result_out_of_range) value = std::strtod(std::string(cell).c_str(), nullptr);
  if (status == std::errc::invalid_argument || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string cell_text(const Table& table, std::int64_t row, std::size_t column) {
  return fmt::format("'{}' line {}: column '{}' is '{}'", table.file.string(),
                     table.lines[static_cast<std::size_t>(row)], printable(table.columns[column].name),
                     printable(table.cell(row, column)));
}

std::string advised(std::string_view name) { return printable(escape_address(name)); }

}  // namespace ulmus::detail
