#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "data/cells.hpp"
#include "data/columns.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

using detail::is_missing;

std::string count_text(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

/// Sets kind, values and treatment of a column that is used.
void describe_numbers(const Table& table, std::size_t c, EncodingStyle style, ColumnSummary& summary) {
  const NumberFormat& format = table.columns[c].number;
  double smallest = HUGE_VAL, largest = -HUGE_VAL;
  std::string_view special;  // the cell furthest from 0 among those that are not plain numbers
  double of_special = 0;
  bool grouped = false;
  for (std::int64_t row = 0; row < table.size(); ++row) {
    const std::string_view cell = table.cell(row, c);
    const auto number = is_missing(cell) ? std::nullopt : detail::number_in(cell, format);
    if (!number) continue;
    if (!format.plain() && !detail::number_in(cell) &&
        (special.empty() || std::fabs(*number) > std::fabs(of_special))) {
      special = cell;
      of_special = *number;
    }
    grouped = grouped || (format.grouped && detail::is_grouped(cell, format));
    smallest = std::min(smallest, *number);
    largest = std::max(largest, *number);
  }
  summary.kind = "number";
  const std::string_view use = style == EncodingStyle::raw ? "as it is" : "standardised";
  summary.treatment = use;
  if (smallest > largest) return;
  summary.values = smallest == largest ? format_number(smallest)
                                       : fmt::format("{} to {}", format_number(smallest), format_number(largest));
  if (special.empty()) return;
  NumberFormat shown = format;
  shown.grouped = grouped;
  summary.treatment = fmt::format("read as {} ('{}' is {}), {}",
                                  shown.plain() ? "numbers with signs or parentheses" : detail::format_text(shown),
                                  printable(special), format_number(of_special), use);
}

void describe_dates(const Table& table, std::size_t c, ColumnSummary& summary) {
  const DateOrder order = table.columns[c].order;
  double first = HUGE_VAL, last = -HUGE_VAL;
  bool timed = false;
  for (std::int64_t row = 0; row < table.size(); ++row)
    if (const auto moment = detail::moment_in(table.cell(row, c), order)) {
      first = std::min(first, moment->days);
      last = std::max(last, moment->days);
      timed = timed || moment->timed;
    }
  summary.kind = order == DateOrder::clock ? "time of day" : "date";
  if (first <= last)
    summary.values =
        fmt::format("{} to {}", detail::moment_text(first, order, timed), detail::moment_text(last, order, timed));
  summary.treatment = fmt::format("read as {}: {}", detail::order_text(order),
                                  order == DateOrder::clock ? "a number and its place in the day"
                                  : timed                   ? "a number, and its year, month, weekday and time of day"
                                                            : "a number, and its year, month and weekday");
}

void describe_levels(const Table& table, std::size_t c, EncodingStyle style, ColumnSummary& summary) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(table.size()));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  summary.kind = "category";
  summary.values = count_text(detail::level_counts(table, c, rows).size(), "level", "levels");
  summary.treatment = style == EncodingStyle::raw ? "split by its levels" : "one feature a level";
}

bool is_constant(const Table& table, std::size_t c) {
  for (std::int64_t row = 1; row < table.size(); ++row)
    if (table.cell(row, c) != table.cell(0, c)) return false;
  return true;
}

}  // namespace

std::vector<ColumnSummary> summarise(const Table& table, EncodingStyle style) {
  std::vector<ColumnSummary> summaries;
  summaries.push_back({.name = table.label,
                       .kind = "label",
                       .values = count_text(table.class_names.size(), "class", "classes"),
                       .treatment = "predicted"});
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const TableColumn& column = table.columns[c];
    ColumnSummary summary{.name = column.name};
    column.kind == ColumnKind::numeric ? describe_numbers(table, c, style, summary)
    : column.kind == ColumnKind::date  ? describe_dates(table, c, summary)
                                       : describe_levels(table, c, style, summary);
    summary.noteworthy = column.kind == ColumnKind::date || !column.number.plain() || !column.left_out.empty();
    std::int64_t missing = 0;
    for (std::int64_t row = 0; row < table.size(); ++row) missing += is_missing(table.cell(row, c)) ? 1 : 0;
    summary.missing = static_cast<double>(missing) / static_cast<double>(table.size());
    if (!column.left_out.empty()) {
      summary.treatment = fmt::format("left out: {}", column.left_out);
      if (column.left_out != detail::k_every_text_differs)
        summary.treatment += fmt::format("; &keep={} uses it", detail::advised(column.name));
    } else if (missing == table.size() || is_constant(table, c)) {
      summary.treatment = missing == table.size() ? "every cell is missing, so it says nothing"
                                                  : "the same in every row, so it says nothing";
      summary.noteworthy = true;
    }
    summaries.push_back(std::move(summary));
  }
  for (const std::string& name : table.dropped)
    summaries.push_back({.name = name, .kind = "dropped", .treatment = "left out by drop=", .noteworthy = true});
  return summaries;
}

std::string to_text(std::span<const ColumnSummary> columns, std::string_view indent, bool all) {
  constexpr std::size_t k_shown = 40;
  const bool shorten = !all && columns.size() > k_shown;
  const auto shown = [&](const ColumnSummary& column) {
    return !shorten || column.noteworthy || column.kind == "label";
  };
  std::size_t names = 0, kinds = 0, values = 0;
  for (const ColumnSummary& column : columns) {
    if (!shown(column)) continue;
    names = std::max(names, std::min<std::size_t>(printable(column.name).size(), 30));
    kinds = std::max(kinds, column.kind.size());
    values = std::max(values, column.values.size());
  }
  std::string text;
  std::map<std::string, std::size_t> others;
  std::size_t lines = 0;
  for (const ColumnSummary& column : columns) {
    if (!shown(column) || (shorten && lines == k_shown)) {
      ++others[column.kind];
      continue;
    }
    ++lines;
    const std::string missing = column.missing > 0 ? fmt::format(", {:.3g}% missing", 100 * column.missing) : "";
    text += fmt::format("{}{:<{}}  {:<{}}  {:<{}}  {}{}\n", indent, printable(column.name), names, column.kind, kinds,
                        column.values, values, column.treatment, missing);
  }
  std::vector<std::string> counted;
  for (const auto& [kind, count] : others) counted.push_back(fmt::format("{} of kind {}", count, kind));
  if (!counted.empty()) text += fmt::format("{}and more columns: {}\n", indent, join(counted, ", "));
  return text;
}

std::string to_json(std::span<const ColumnSummary> columns) {
  Json list = Json::array();
  for (const ColumnSummary& column : columns)
    list.push_back({{"name", column.name},
                    {"kind", column.kind},
                    {"values", column.values},
                    {"missing", column.missing},
                    {"treatment", column.treatment}});
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ulmus
