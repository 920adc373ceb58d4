#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ulmus/data/table.hpp"

/// What stands in the cells of a table: numbers, dates, and marks of what is missing.
namespace ulmus::detail {

/// Empty, `NA`, `N/A`, `#N/A`, `<NA>`, `NaN`, `NaT`, `null`, `nil`, `None`, `\N`, `#NULL!` in any case, or `?`.
bool is_missing(std::string_view cell);

/// The whole cell as a finite decimal number, with a decimal point and nothing else.
std::optional<double> number_in(std::string_view cell);

/// The whole cell as a finite number of this format. A typographic minus, a sign after the number and accounting's
/// parentheses are understood.
std::optional<double> number_in(std::string_view cell, const NumberFormat& format);

/// A number with what stands around it: "-$1,234.50" has the prefix "$" and the digits "1,234.50".
struct WrittenNumber {
  bool negative = false;
  std::string prefix;  ///< a currency
  std::string digits;  ///< with marks between them, every kind of space as ' ', of apostrophe as '\''
  std::string suffix;  ///< a unit, a percent sign or a currency
};

/// Whether thousands of a number of this format stand in groups.
bool is_grouped(std::string_view cell, const NumberFormat& format);

/// Nothing when the cell does not look like one number.
std::optional<WrittenNumber> written_number(std::string_view cell);

/// Whether two units are one, up to the plural of a word: "day" and "days".
bool same_unit(std::string_view a, std::string_view b);

/// A date, a time of day or both, as it is written.
struct Moment {
  double days = 0;  ///< since 1970-01-01 00:00, in UTC where a zone is written; of a time of day, a fraction
  int year = 0;
  int month = 1;       ///< 1 to 12
  int weekday = 0;     ///< 0 (Monday) to 6
  double seconds = 0;  ///< since midnight, as the clock showed
  bool timed = false;  ///< a time of day is written
};

/// The whole cell as a date in this order. Parts are separated by `-`, `/`, `.` or spaces, months may be English or
/// German names, the day may be left out, and a time with a zone may follow. Years have four digits; two (1969 to 2068)
/// where they come last. Weeks (`2021-W05`, ISO 8601) and quarters (`2021-Q1`, `Q1 2021`) are their first day. A time
/// of day alone may be a duration of up to 9999 hours.
std::optional<Moment> moment_in(std::string_view cell, DateOrder order);

/// "2021-03-15", with "08:15:00" when `timed`; of a clock "08:15:00".
std::string moment_text(double days, DateOrder order, bool timed);

/// "'table.csv' line 7: column 'age' is 'old'".
std::string cell_text(const Table& table, std::int64_t row, std::size_t column);

/// A column's name as a message advises to write it in an address.
std::string advised(std::string_view name);

/// "numbers with decimal commas in €": how a message names what a column holds.
std::string format_text(const NumberFormat& format);

/// "day.month.year"
std::string_view order_text(DateOrder order);

}  // namespace ulmus::detail
