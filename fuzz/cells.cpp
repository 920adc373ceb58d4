#include "data/cells.hpp"

#include <algorithm>
#include <array>

#include "data/gzip.hpp"
#include "fuzz.hpp"
#include "ulmus/base/text_file.hpp"

using namespace ulmus;

/// Parses a cell as a number of every format and as a date of every order; and the whole input as a file.
ULMUS_FUZZER(data, size) {
  const std::string_view cell = fuzz::text_of(data, size);
  if (const auto written = detail::written_number(cell))
    for (const char decimal : {'.', ','})
      for (const bool grouped : {false, true}) {
        const auto number = detail::number_in(
            cell, {.decimal = decimal, .grouped = grouped, .prefix = written->prefix, .suffix = written->suffix});
        fuzz::require(!number || *number - *number == 0, "a number is finite");
      }
  for (const DateOrder order : {DateOrder::ymd, DateOrder::dmy, DateOrder::mdy, DateOrder::clock})
    if (const auto moment = detail::moment_in(cell, order)) {
      fuzz::require(moment->month >= 1 && moment->month <= 12 && moment->weekday >= 0 && moment->weekday <= 6,
                    "a date has a month and a weekday");
      fuzz::require(!detail::moment_text(moment->days, order, true).empty(), "a date is written");
    }
  fuzz::allow_errors([&] {
    const std::string bytes = detail::decompressed(std::string(cell), "t.csv", 1 << 20);
    fuzz::require(bytes.size() <= (1 << 20) || bytes == cell, "the limit holds");
    utf8_text(bytes, "t.csv");
  });
  return 0;
}
