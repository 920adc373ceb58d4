#include "data/columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>

#include "data/cells.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace detail {
namespace {

// With fewer rows, row numbers cannot be distinguished from measurements.
constexpr std::int64_t k_min_rows_to_count = 10;
constexpr std::int64_t k_min_rows_to_rise = 50;
constexpr std::int64_t k_min_rows_of_digit_dates = 10;
constexpr std::array k_orders{DateOrder::ymd, DateOrder::dmy, DateOrder::mdy, DateOrder::clock};

/// Calls `visit(row, cell)` for every cell that is not missing.
template <class Visit>
void for_each_cell(const Table& table, std::size_t column, Visit visit) {
  for (std::int64_t row = 0; row < table.size(); ++row)
    if (const std::string_view cell = table.cell(row, column); !is_missing(cell)) visit(row, cell);
}

struct Unit {
  std::string prefix, suffix;
};

/// The possible readings of a column's cells.
struct Facts {
  std::int64_t cells = 0;        ///< cells that are not missing
  std::int64_t plain = 0;        ///< plain numbers
  std::int64_t digit_dates = 0;  ///< plain numbers in the form 20210315 or 03.2021

  // numbers with the most frequent unit
  Unit unit;
  bool several_units = false;
  bool few_units = false;       ///< two to five units
  std::int64_t written = 0;     ///< numbers with any unit
  std::int64_t with_point = 0;  ///< of these, numbers with a decimal point
  std::int64_t with_comma = 0;  ///< of these, numbers with a decimal comma
  char mark = '\0';             ///< ',' or '.' if it occurs in a cell; '*': both do
  bool all_marked = true;       ///< every cell has a mark
  bool large_unmarked = false;  ///< a cell without a mark is at least 1000

  std::array<std::int64_t, k_orders.size()> dates{};  ///< number of dates per order
  std::int64_t any_date = 0;
  bool orders_differ = false;  ///< a cell is a different day as dmy than as mdy

  bool numeric(char decimal) const { return (decimal == ',' ? with_comma : with_point) == cells; }
  bool decimal_unclear() const { return mark != '\0' && numeric('.') && numeric(','); }
  std::int64_t dates_in(DateOrder order) const { return dates[static_cast<std::size_t>(order)]; }
};

bool is_digit_date(std::string_view cell) {
  const auto moment = moment_in(cell, cell.size() == 8 ? DateOrder::ymd : DateOrder::dmy);
  return moment && !moment->timed && moment->year >= 1900 && moment->year <= 2100;
}

/// Updates the facts about decimal marks; `digits` are those of a number, without its sign.
void note_marks(Facts& facts, const std::string& digits) {
  const bool point = digits.find('.') != std::string::npos, comma = digits.find(',') != std::string::npos;
  const char mark = point && comma ? '*' : point ? '.' : comma ? ',' : '\0';
  if (mark == '\0') {
    facts.all_marked = false;
    facts.large_unmarked = facts.large_unmarked || digits.size() > 3;
  } else {
    facts.mark = facts.mark == '\0' || facts.mark == mark ? mark : '*';
  }
}

Facts facts_of(const Table& table, std::size_t column) {
  Facts facts;
  std::vector<std::pair<Unit, std::int64_t>> units;
  for_each_cell(table, column, [&](std::int64_t, std::string_view cell) {
    ++facts.cells;
    if (number_in(cell)) {
      ++facts.plain;
      if (is_digit_date(cell)) ++facts.digit_dates;
    }
    const auto written = written_number(cell);
    if (!written) return;
    ++facts.written;
    const auto known = std::ranges::find_if(units, [&](const auto& unit) {
      return unit.first.prefix == written->prefix && same_unit(unit.first.suffix, written->suffix);
    });
    constexpr std::size_t k_most_units = 50;
    if (known != units.end())
      ++known->second;
    else if (units.size() < k_most_units)
      units.push_back({{written->prefix, written->suffix}, 1});
  });
  if (!units.empty()) facts.unit = std::ranges::max_element(units, {}, [](const auto& u) { return u.second; })->first;
  facts.several_units = units.size() > 1;
  constexpr std::size_t k_few_units = 5;
  facts.few_units = facts.several_units && units.size() <= k_few_units;

  const NumberFormat point{.grouped = true, .prefix = facts.unit.prefix, .suffix = facts.unit.suffix};
  NumberFormat comma = point;
  comma.decimal = ',';
  for_each_cell(table, column, [&](std::int64_t, std::string_view cell) {
    const bool as_point =
        number_in(cell, point) || (facts.unit.prefix.empty() && facts.unit.suffix.empty() && number_in(cell));
    const bool as_comma = number_in(cell, comma).has_value();
    facts.with_point += as_point ? 1 : 0;
    facts.with_comma += as_comma ? 1 : 0;
    if (as_point || as_comma) {
      const auto written = written_number(cell);
      note_marks(facts, written ? written->digits : std::string(cell));
    }
    if (facts.plain == facts.cells) return;
    bool any = false;
    for (std::size_t i = 0; i < k_orders.size(); ++i)
      if (moment_in(cell, k_orders[i])) {
        ++facts.dates[i];
        any = true;
      }
    if (!any) return;
    ++facts.any_date;
    const auto dmy = moment_in(cell, DateOrder::dmy), mdy = moment_in(cell, DateOrder::mdy);
    facts.orders_differ = facts.orders_differ || (dmy && mdy && dmy->days != mdy->days);
  });
  return facts;
}

[[noreturn]] void throw_data_error(const Table& table, std::int64_t row, std::size_t column, const std::string& what) {
  throw Error(ErrorKind::data, cell_text(table, row, column) + what);
}

/// Returns the first cell for which `fits(cell)` is false.
template <class Fits>
std::int64_t first_misfit(const Table& table, std::size_t column, Fits fits) {
  std::int64_t misfit = -1;
  for_each_cell(table, column, [&](std::int64_t row, std::string_view cell) {
    if (misfit < 0 && !fits(cell)) misfit = row;
  });
  return misfit;
}

/// What the file as a whole indicates: the reading of the unambiguous columns, if they agree.
struct Evidence {
  char decimal = '\0';
  std::optional<DateOrder> dates;
};

Evidence evidence_of(std::span<const Facts> columns, const CsvOptions& options) {
  bool point = false, comma = false, dmy = false, mdy = false;
  for (const Facts& facts : columns) {
    if (facts.cells == 0) continue;
    if (facts.mark != '\0') {
      point = point || (facts.numeric('.') && !facts.numeric(','));
      comma = comma || (facts.numeric(',') && !facts.numeric('.'));
    }
    const bool all_dmy = facts.dates_in(DateOrder::dmy) == facts.cells;
    const bool all_mdy = facts.dates_in(DateOrder::mdy) == facts.cells;
    dmy = dmy || (all_dmy && !all_mdy);
    mdy = mdy || (all_mdy && !all_dmy);
  }
  Evidence evidence;
  if (point != comma) evidence.decimal = point ? '.' : ',';
  if (dmy != mdy) evidence.dates = dmy ? DateOrder::dmy : DateOrder::mdy;
  if (options.decimal != '\0') evidence.decimal = options.decimal;
  if (options.dates) evidence.dates = options.dates;
  return evidence;
}

/// Returns the decimal mark of a column where `,` or `.` before three digits may be a decimal mark or group thousands;
/// '\0' if undecided.
char choose_decimal(const Facts& facts, const Evidence& evidence, char delimiter) {
  if (evidence.decimal != '\0') return evidence.decimal;
  if (facts.mark == '*') return '\0';
  if (facts.all_marked) return '.';  // the two readings differ by a factor of 1000 in every cell
  if (facts.mark == '.') {
    // Values such as "345" and "1.105" are read as thousands only if semicolons suggest a decimal comma.
    return delimiter == ';' && !facts.large_unmarked ? ',' : '.';
  }
  return delimiter == ';' || facts.large_unmarked ? '\0' : '.';
}

void make_numeric(const Table& table, std::size_t column, const Facts& facts, const Evidence& evidence, char delimiter,
                  TableColumn& made) {
  made.kind = ColumnKind::numeric;
  char decimal = facts.numeric('.') ? '.' : ',';
  if (facts.decimal_unclear()) decimal = choose_decimal(facts, evidence, delimiter);
  if (decimal == '\0') {
    const std::int64_t row = first_misfit(
        table, column, [](std::string_view cell) { return cell.find_first_of(".,") == std::string_view::npos; });
    throw_data_error(
        table, row, column,
        ", with a decimal comma or with thousands in a group, and nothing in the file tells which; add &decimal=, or "
        "&decimal=.");
  }
  if (facts.plain == facts.cells && decimal == '.') return;
  made.number = {.decimal = decimal, .grouped = false, .prefix = facts.unit.prefix, .suffix = facts.unit.suffix};
  made.number.grouped =
      first_misfit(table, column, [&](std::string_view cell) { return number_in(cell, made.number).has_value(); }) >= 0;
}

void make_date(const Table& table, std::size_t column, const Facts& facts, const Evidence& evidence,
               TableColumn& made) {
  made.kind = ColumnKind::date;
  for (const DateOrder order : {DateOrder::clock, DateOrder::mdy, DateOrder::dmy, DateOrder::ymd})
    if (facts.dates_in(order) == facts.cells) made.order = order;
  if (made.order != DateOrder::dmy || facts.dates_in(DateOrder::mdy) < facts.cells || !facts.orders_differ) return;
  if (evidence.dates == DateOrder::dmy || evidence.dates == DateOrder::mdy) {
    made.order = *evidence.dates;
    return;
  }
  const std::int64_t row = first_misfit(table, column, [](std::string_view cell) {
    return moment_in(cell, DateOrder::dmy)->days == moment_in(cell, DateOrder::mdy)->days;
  });
  throw_data_error(
      table, row, column,
      ", and no row of the column tells whether the day or the month comes first; add &dates=dmy or &dates=mdy");
}

/// Number of rows for every value of a column.
std::unordered_map<std::string_view, std::int64_t> counts_of(const Table& table, std::size_t column) {
  std::unordered_map<std::string_view, std::int64_t> counts;
  for_each_cell(table, column, [&](std::int64_t, std::string_view cell) { ++counts[cell]; });
  return counts;
}

/// Throws for a column where almost all cells are of one kind.
void reject_slips(const Table& table, std::size_t column, const Facts& facts) {
  const std::string cure = fmt::format(
      "; correct it, leave it empty if it is missing, or add &categorical={} if all "
      "are names",
      advised(table.columns[column].name));
  if (2 * facts.any_date > facts.cells) {
    const auto order = k_orders[static_cast<std::size_t>(std::ranges::max_element(facts.dates) - facts.dates.begin())];
    throw_data_error(
        table, first_misfit(table, column, [&](std::string_view cell) { return moment_in(cell, order).has_value(); }),
        column,
        fmt::format(", but {} of its {} values are dates written {}{}", facts.dates_in(order), facts.cells,
                    order_text(order), cure));
  }
  const char decimal = facts.with_comma > facts.with_point ? ',' : '.';
  NumberFormat format{.decimal = decimal, .grouped = true, .prefix = facts.unit.prefix, .suffix = facts.unit.suffix};
  std::int64_t numbers = decimal == ',' ? facts.with_comma : facts.with_point;
  if (2 * facts.plain > facts.cells) {
    format = {};
    numbers = facts.plain;
  }
  if (2 * numbers <= facts.cells) return;
  // A few numbers with several units are names, such as 12a and 12b.
  if (!format.suffix.empty() && facts.several_units && counts_of(table, column).size() <= k_max_levels) return;
  format.grouped = false;
  const std::string what = format.plain() ? "numbers" : format_text(format);
  format.grouped = !format.plain();
  throw_data_error(
      table, first_misfit(table, column, [&](std::string_view cell) { return number_in(cell, format).has_value(); }),
      column, fmt::format(", but {} of its {} values are {}{}", numbers, facts.cells, what, cure));
}

/// Throws for measurements whose units differ between rows, which would look like row names.
void reject_mixed_units(const Table& table, std::size_t column, const Facts& facts) {
  if (table.columns[column].kind != ColumnKind::categorical || !facts.few_units || 10 * facts.written < 9 * facts.cells)
    return;
  const std::int64_t row = first_misfit(table, column, [&](std::string_view cell) {
    const auto written = written_number(cell);
    return !written || (written->prefix == facts.unit.prefix && same_unit(written->suffix, facts.unit.suffix));
  });
  throw_data_error(
      table, row, column,
      fmt::format(", and the values of the column are numbers in several units; write all of them in one, or leave the "
                  "column out with &drop={}",
                  advised(table.columns[column].name)));
}

void decide(const Table& table, std::size_t column, const Facts& facts, const Evidence& evidence, char delimiter,
            TableColumn& made) {
  if (facts.plain == facts.cells && facts.cells >= k_min_rows_of_digit_dates && facts.digit_dates == facts.cells) {
    made.kind = ColumnKind::date;
    made.order = first_misfit(table, column, [](std::string_view cell) { return cell.size() == 8; }) < 0
                     ? DateOrder::ymd
                     : DateOrder::dmy;
    if (first_misfit(table, column, [&](std::string_view cell) { return moment_in(cell, made.order).has_value(); }) < 0)
      return;
    made.kind = ColumnKind::numeric;
  }
  if (facts.plain == facts.cells || facts.numeric('.') || facts.numeric(','))
    make_numeric(table, column, facts, evidence, delimiter, made);
  else if (std::ranges::find(facts.dates, facts.cells) != facts.dates.end())
    make_date(table, column, facts, evidence, made);
  else {
    reject_slips(table, column, facts);
    made.kind = ColumnKind::categorical;
  }
}

/// Returns whether the name of a column suggests that it identifies rows: "id", "PassengerId", "customer_no".
bool names_an_identifier(std::string_view name) {
  std::string last;  // last word, in lower case
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
    const bool begins = upper && i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
    if (!upper && !lower) {
      if (i + 1 < name.size()) last.clear();
      continue;
    }
    if (begins) last.clear();
    last += static_cast<char>(upper ? c + ('a' - 'A') : c);
  }
  constexpr std::array<std::string_view, 14> k_words{"id", "ids", "uuid", "guid",   "key", "index",  "idx",
                                                     "no", "nr",  "num",  "number", "row", "rownum", "rowid"};
  return std::ranges::find(k_words, last) != k_words.end();
}

std::string why_a_number_is_left_out(const Table& table, std::size_t column) {
  const std::int64_t rows = table.size();
  if (rows < k_min_rows_to_count) return "";
  std::vector<double> values;
  bool whole = true;
  for_each_cell(table, column, [&](std::int64_t, std::string_view cell) {
    values.push_back(*number_in(cell));
    whole = whole && values.back() == std::floor(values.back());
  });
  if (!whole || std::ssize(values) < rows) return "";
  bool rises = true, counts = true;
  for (std::size_t i = 1; i < values.size(); ++i) {
    rises = rises && values[i] > values[i - 1];
    counts = counts && values[i] == values[i - 1] + 1;
  }
  const bool named = names_an_identifier(table.columns[column].name);
  if (counts || (rises && (named || rows >= k_min_rows_to_rise))) return "counts up row by row";
  std::ranges::sort(values);
  if (std::ranges::adjacent_find(values) != values.end()) return "";
  const bool dense = values.back() - values.front() + 1 == static_cast<double>(rows);
  return dense || named ? "has another whole number in every row" : "";
}

/// The reason why a column is left out by default; empty if it is not.
std::string why_left_out(const Table& table, std::size_t column, std::int64_t cells) {
  const TableColumn& made = table.columns[column];
  if (made.kind == ColumnKind::numeric && made.number.plain()) return why_a_number_is_left_out(table, column);
  if (made.kind != ColumnKind::categorical || cells < k_min_rows_to_count) return "";
  std::int64_t once = 0;
  for (const auto& [text, rows] : counts_of(table, column)) once += rows == 1 ? 1 : 0;
  if (once == cells) return k_every_text_differs;
  return 10 * once > 9 * cells ? "has another text in nearly every row" : "";
}

bool contains(std::span<const std::string> names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::optional<double> number_at(const Table& table, std::int64_t row, std::size_t column, const NumberFormat& format) {
  const std::string_view cell = table.cell(row, column);
  if (is_missing(cell)) return std::nullopt;
  const auto number = number_in(cell, format);
  if (!number)
    throw_data_error(table, row, column,
                     format.plain()
                         ? ", but the column was numeric in training; correct it, or leave it empty if it is missing"
                         : fmt::format(", but the column was {} in training; write it so, or leave it empty if it is "
                                       "missing",
                                       format_text(format)));
  return number;
}

std::map<std::string, std::int64_t> level_counts(const Table& table, std::size_t column,
                                                 std::span<const std::int64_t> rows) {
  std::unordered_map<std::string_view, std::int64_t> cells;
  for (const std::int64_t row : rows)
    if (const std::string_view cell = table.cell(row, column); !is_missing(cell)) ++cells[cell];
  std::map<std::string, std::int64_t> names;
  for (const auto& [cell, count] : cells) names[class_name(cell)] += count;
  std::vector<std::string> texts;
  for (const auto& [name, count] : names) texts.push_back(name);
  const Spelling spelling = common_spelling(texts);
  if (spelling == nullptr) return names;
  std::map<std::string, std::int64_t> values;
  for (const auto& [name, count] : names) values[*spelling(name)] += count;
  return values.size() == names.size() ? names : values;
}

void check_cells(const Table& table, std::string_view where, std::string_view cure) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const TableColumn& column = table.columns[c];
    if (column.kind == ColumnKind::categorical || !column.left_out.empty()) continue;
    const bool numeric = column.kind == ColumnKind::numeric;
    const std::int64_t row = first_misfit(table, c, [&](std::string_view cell) {
      return numeric ? number_in(cell, column.number).has_value() : moment_in(cell, column.order).has_value();
    });
    if (row >= 0)
      throw_data_error(table, row, c,
                       fmt::format(", but the column is {} {}; {}{}",
                                   !numeric                ? fmt::format("dates written {}", order_text(column.order))
                                   : column.number.plain() ? "numeric"
                                                           : format_text(column.number),
                                   where, cure, advised(column.name)));
  }
}

void decide_columns(Table& table, const CsvOptions& options, const TableEncoding* trained) {
  std::vector<Facts> facts(table.columns.size());
  std::vector<bool> known(table.columns.size(), false);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    TableColumn& column = table.columns[c];
    if (trained != nullptr) {
      const auto learnt = std::ranges::find(trained->columns, column.name, &ColumnEncoding::name);
      if (learnt != trained->columns.end()) {
        column.kind = learnt->kind;
        column.number = learnt->number;
        column.order = learnt->order;
        known[c] = true;
      } else if (contains(trained->left_out, column.name)) {
        column.left_out = "was left out in training";
        known[c] = true;
      }
    }
    if (column.kind == ColumnKind::categorical) known[c] = true;
    if (!known[c]) facts[c] = facts_of(table, c);
  }
  const Evidence evidence = evidence_of(facts, options);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (known[c]) continue;
    TableColumn& column = table.columns[c];
    decide(table, c, facts[c], evidence, options.delimiter, column);
    if (!contains(options.keep, column.name)) column.left_out = why_left_out(table, c, facts[c].cells);
    if (!column.left_out.empty()) reject_mixed_units(table, c, facts[c]);
  }
}

}  // namespace detail

}  // namespace ulmus
