#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ulmus/data/table.hpp"

/// Parsers of table cells: numbers, dates, and marks of missing values.
namespace ulmus::detail {

/// Empty, `NA`, `N/A`, `#N/A`, `<NA>`, `NaN`, `NaT`, `null`, `nil`, `None`, `\N`, `#NULL!` in any case, or `?`.
bool is_missing(std::string_view cell);

/// Parses the whole cell as a finite decimal number, with a decimal point and nothing else.
std::optional<double> number_in(std::string_view cell);

/// Parses the whole cell as a finite number of this format. Accepts a typographic minus, a sign after the number and
/// the parentheses of accounting.
std::optional<double> number_in(std::string_view cell, const NumberFormat& format);

/// A number with the text around it: "-$1,234.50" has the prefix "$" and the digits "1,234.50".
struct WrittenNumber {
  bool negative = false;
  std::string prefix;  ///< a currency
  std::string digits;  ///< including marks between them; every kind of space as ' ', of apostrophe as '\''
  std::string suffix;  ///< a unit, a percent sign or a currency
};

/// Returns whether thousands are grouped in a number of this format.
bool is_grouped(std::string_view cell, const NumberFormat& format);

/// Returns nothing if the cell does not look like a single number.
std::optional<WrittenNumber> written_number(std::string_view cell);

/// Returns whether two units are equal, except for the plural of a word: "day" and "days".
bool same_unit(std::string_view a, std::string_view b);

/// A parsed date, time of day, or both.
struct Moment {
  double days = 0;  ///< since 1970-01-01 00:00, in UTC if a zone is given; for a time of day, a fraction
  int year = 0;
  int month = 1;       ///< 1 to 12
  int weekday = 0;     ///< 0 (Monday) to 6
  double seconds = 0;  ///< since midnight, local time as written
  bool timed = false;  ///< includes a time of day
};

/// Parses the whole cell as a date in this order. Parts are separated by `-`, `/`, `.` or spaces; months may be English
/// or German names; the day may be missing; a time with a zone may follow. Years have four digits, or two (1969 to
/// 2068) in last position. Weeks (`2021-W05`, ISO 8601) and quarters (`2021-Q1`, `Q1 2021`) are represented by their
/// first day. A time of day alone may be a duration of up to 9999 hours.
std::optional<Moment> moment_in(std::string_view cell, DateOrder order);

/// "2021-03-15", with "08:15:00" if `timed`; for a clock "08:15:00".
std::string moment_text(double days, DateOrder order, bool timed);

/// "'table.csv' line 7: column 'age' is 'old'".
std::string cell_text(const Table& table, std::int64_t row, std::size_t column);

/// Returns a column name as it must be written in an address, for advice in messages.
std::string advised(std::string_view name);

/// Describes a column's numbers for messages: "numbers with decimal commas in €".
std::string format_text(const NumberFormat& format);

/// "day.month.year"
std::string_view order_text(DateOrder order);

}  // namespace ulmus::detail
