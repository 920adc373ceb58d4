#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "data/cells.hpp"
#include "ulmus/base/ascii.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

constexpr double k_day = 86400;  // in seconds

// Identified by the distinctive first letters, in English and German.
struct Name {
  std::string_view letters;
  int number;
};
constexpr auto k_months = std::to_array<Name>({{"jan", 1},
                                               {"feb", 2},
                                               {"mar", 3},
                                               {"m\xc3\xa4r", 3},
                                               {"mrz", 3},
                                               {"apr", 4},
                                               {"may", 5},
                                               {"mai", 5},
                                               {"jun", 6},
                                               {"jul", 7},
                                               {"aug", 8},
                                               {"sep", 9},
                                               {"oct", 10},
                                               {"okt", 10},
                                               {"nov", 11},
                                               {"dec", 12},
                                               {"dez", 12}});
constexpr auto k_month_names = std::to_array<std::string_view>(
    {"january",   "february", "march",    "april",    "may",    "june",         "july",        "august",
     "september", "october",  "november", "december", "januar", "februar",      "m\xc3\xa4rz", "mai",
     "juni",      "juli",     "oktober",  "dezember", "sept",   "j\xc3\xa4nner"});
constexpr auto k_weekdays = std::to_array<std::string_view>(
    {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "montag", "dienstag", "mittwoch",
     "donnerstag", "freitag", "samstag", "sonnabend", "sonntag"});

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

/// Reads the parts of a date from the front of a text in lower case.
class Reader {
 public:
  explicit Reader(std::string_view lower) : rest_(lower) {}

  bool at_end() const { return rest_.empty(); }
  bool next_is_digit() const { return !rest_.empty() && is_digit(rest_[0]); }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  /// A run of digits.
  std::string_view digits() {
    const auto size = static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_digit) - rest_.begin());
    return cut(size);
  }

  std::string_view letters() {
    const auto size = static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_letter) - rest_.begin());
    return cut(size);
  }

  void skip_spaces() {
    while (take(" ")) continue;
  }

  /// The separator between two parts of a date; '\0' if there is none.
  char separator() {
    if (rest_.empty()) return '\0';
    const char c = rest_[0];
    if (c != '-' && c != '/' && c != '.' && c != ' ' && c != ',') return '\0';
    rest_.remove_prefix(1);
    if (c == '.' || c == ',' || c == ' ') skip_spaces();
    return c;
  }

 private:
  std::string_view cut(std::size_t size) {
    const std::string_view front = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return front;
  }

  std::string_view rest_;
};

int value_of(std::string_view digits) {
  int value = 0;
  for (const char c : digits) value = 10 * value + (c - '0');
  return value;
}

std::optional<int> month_named(std::string_view name) {
  const auto month = std::ranges::find_if(k_months, [&](const Name& m) { return name.starts_with(m.letters); });
  if (month == k_months.end()) return std::nullopt;
  const bool whole = name == month->letters || std::ranges::find(k_month_names, name) != k_month_names.end();
  return whole ? std::optional(month->number) : std::nullopt;
}

/// A part of a date: digits, or the name of a month.
struct DatePart {
  int value = 0;
  std::size_t digits = 0;  ///< 0 for a name
};

std::optional<DatePart> read_part(Reader& reader) {
  if (reader.next_is_digit()) {
    const std::string_view digits = reader.digits();
    if (digits.size() > 4) return std::nullopt;
    return DatePart{value_of(digits), digits.size()};
  }
  const auto month = month_named(reader.letters());
  return month ? std::optional(DatePart{*month, 0}) : std::nullopt;
}

bool is_year(const DatePart& part) { return part.digits == 4; }
bool is_short_year(const DatePart& part) { return part.digits == 2; }
bool is_day(const DatePart& part) { return part.digits == 1 || part.digits == 2; }
bool is_month(const DatePart& part) { return part.digits <= 2; }

int full_year(const DatePart& part) {
  return part.digits == 4 ? part.value : part.value + (part.value >= 69 ? 1900 : 2000);
}

std::optional<std::chrono::year_month_day> date_of(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || year < 1000 || year > 2999) return std::nullopt;
  return date;
}

/// "20210315"
std::optional<std::chrono::year_month_day> compact_date(std::string_view digits) {
  const int all = value_of(digits);
  return date_of(all / 10000, all / 100 % 100, all % 100);
}

/// "2021-q1", "q1 2021", "2021-w05", "2021-w05-3": the first day.
std::optional<std::chrono::year_month_day> read_period(Reader& reader) {
  const auto number = [&](std::size_t most_digits) {
    const std::string_view digits = reader.digits();
    return digits.empty() || digits.size() > most_digits ? 0 : value_of(digits);
  };
  if (reader.take("q")) {
    const int quarter = number(1);
    reader.separator();
    const std::string_view year = reader.digits();
    return year.size() == 4 && quarter >= 1 && quarter <= 4 ? date_of(value_of(year), 3 * quarter - 2, 1)
                                                            : std::nullopt;
  }
  const std::string_view digits = reader.digits();
  if (digits.size() != 4) return std::nullopt;
  const int year = value_of(digits);
  reader.separator();
  if (reader.take("q")) {
    const int quarter = number(1);
    return quarter >= 1 && quarter <= 4 ? date_of(year, 3 * quarter - 2, 1) : std::nullopt;
  }
  if (!reader.take("w")) return std::nullopt;
  const int week = number(2);
  const int day = reader.at_end() || reader.separator() != '-' ? 1 : number(1);
  const auto fourth = date_of(year, 1, 4);  // 4 January is always in week 1
  if (!fourth || week < 1 || week > 53 || day < 1 || day > 7) return std::nullopt;
  const std::chrono::sys_days fourth_day(*fourth);
  const auto monday = fourth_day - std::chrono::days(std::chrono::weekday(fourth_day).iso_encoding() - 1);
  return std::chrono::year_month_day(monday + std::chrono::days(7 * (week - 1) + day - 1));
}

std::optional<std::chrono::year_month_day> read_date(Reader& reader, std::string_view cell, DateOrder order) {
  if (order == DateOrder::ymd && cell.find_first_of("qw") != std::string_view::npos) {
    Reader ahead = reader;
    if (const auto period = read_period(ahead)) {
      reader = ahead;
      return period;
    }
  }
  const auto end = static_cast<std::size_t>(std::ranges::find_if_not(cell, is_digit) - cell.begin());
  if (end == 8 && (end == cell.size() || cell[end] == 't' || cell[end] == ' ')) {
    if (order != DateOrder::ymd) return std::nullopt;
    return compact_date(reader.digits());
  }
  std::array<DatePart, 3> parts;
  std::array<char, 2> separators{};
  std::size_t count = 0;
  for (; count < 3; ++count) {
    if (count > 0) {
      separators[count - 1] = reader.separator();
      if (separators[count - 1] == '\0') break;
    }
    const auto part = read_part(reader);
    if (!part) return std::nullopt;
    parts[count] = *part;
  }
  const auto& [a, b, c] = parts;
  if (count == 2) {
    if (order == DateOrder::ymd) return is_year(a) && is_month(b) ? date_of(a.value, b.value, 1) : std::nullopt;
    return is_month(a) && is_year(b) ? date_of(b.value, a.value, 1) : std::nullopt;
  }
  if (count != 3) return std::nullopt;
  const bool year_last = is_year(c) || is_short_year(c);
  switch (order) {
    case DateOrder::ymd:
      return is_year(a) && is_month(b) && is_day(c) ? date_of(a.value, b.value, c.value) : std::nullopt;
    case DateOrder::dmy:
      return is_day(a) && is_month(b) && year_last ? date_of(full_year(c), b.value, a.value) : std::nullopt;
    case DateOrder::mdy:
      // With full stops the day always comes first.
      if (separators[0] == '.' && a.digits > 0) return std::nullopt;
      return is_month(a) && is_day(b) && year_last ? date_of(full_year(c), a.value, b.value) : std::nullopt;
    case DateOrder::clock:
      break;
  }
  return std::nullopt;
}

/// "8:15", "08:15:30.5", "8:15 pm": seconds since midnight. A duration may have more than 23 hours.
std::optional<double> read_clock(Reader& reader, bool duration) {
  const std::string_view hours = reader.digits();
  if (hours.empty() || hours.size() > (duration ? 4 : 2) || !reader.take(":")) return std::nullopt;
  const std::string_view minutes = reader.digits();
  if (minutes.size() != 2) return std::nullopt;
  double seconds = 0;
  if (reader.take(":")) {
    const std::string_view whole = reader.digits();
    if (whole.size() != 2) return std::nullopt;
    seconds = value_of(whole);
    if (reader.take(".") || reader.take(",")) {
      const std::string_view fraction = reader.digits();
      if (fraction.empty() || fraction.size() > 9) return std::nullopt;
      seconds += value_of(fraction) / std::pow(10.0, static_cast<double>(fraction.size()));
    }
  }
  int hour = value_of(hours);
  Reader ahead = reader;
  ahead.skip_spaces();
  const bool pm = ahead.take("pm") || ahead.take("p.m.");
  if (pm || ahead.take("am") || ahead.take("a.m.")) {
    if (hour < 1 || hour > 12) return std::nullopt;
    hour = hour % 12 + (pm ? 12 : 0);
    reader = ahead;
  }
  if ((hour > 23 && !duration) || value_of(minutes) > 59 || seconds >= 61) return std::nullopt;
  return 3600.0 * hour + 60.0 * value_of(minutes) + seconds;
}

/// Seconds to add to local time to get UTC; 0 without a zone.
std::optional<double> read_zone(Reader& reader) {
  reader.skip_spaces();
  if (reader.at_end() || reader.take("z") || reader.take("utc") || reader.take("gmt")) return 0;
  const bool before = reader.take("-");
  if (!before && !reader.take("+")) return std::nullopt;
  const std::string_view digits = reader.digits();
  if (digits.size() != 2 && digits.size() != 4) return std::nullopt;
  const int hours = value_of(digits.substr(0, 2));
  int minutes = value_of(digits.substr(2));
  if (digits.size() == 2 && reader.take(":")) {
    const std::string_view more = reader.digits();
    if (more.size() != 2) return std::nullopt;
    minutes = value_of(more);
  }
  if (hours > 15 || minutes > 59) return std::nullopt;
  return (before ? 1 : -1) * (3600.0 * hours + 60.0 * minutes);
}

/// "Mon, 15 Mar 2021"
void skip_weekday(Reader& reader) {
  Reader ahead = reader;
  const std::string_view name = ahead.letters();
  const bool known = name.size() >= 2 && std::ranges::any_of(k_weekdays, [&](std::string_view day) {
                       return day == name || (name.size() <= 3 && day.starts_with(name));
                     });
  if (!known || month_named(name) || ahead.separator() == '\0') return;
  ahead.skip_spaces();
  reader = ahead;
}

}  // namespace

std::optional<Moment> moment_in(std::string_view cell, DateOrder order) {
  if (cell.size() > 48 || std::ranges::none_of(cell, is_digit)) return std::nullopt;
  const std::string lower = ascii_lower(cell);
  Reader reader(lower);
  Moment moment;
  std::optional<double> seconds;
  if (order == DateOrder::clock) {
    seconds = read_clock(reader, true);
    if (!seconds || !reader.at_end()) return std::nullopt;
    return Moment{.days = *seconds / k_day, .seconds = *seconds, .timed = true};
  }
  skip_weekday(reader);
  const auto date = read_date(reader, lower, order);
  if (!date) return std::nullopt;
  const std::chrono::sys_days day(*date);
  moment.days = static_cast<double>(day.time_since_epoch().count());
  moment.year = static_cast<int>(date->year());
  moment.month = static_cast<int>(static_cast<unsigned>(date->month()));
  moment.weekday = static_cast<int>(std::chrono::weekday(day).iso_encoding()) - 1;
  if (reader.at_end()) return moment;
  if (reader.take(","))
    reader.skip_spaces();
  else if (!reader.take("t") && !reader.take(" "))
    return std::nullopt;
  reader.skip_spaces();
  seconds = read_clock(reader, false);
  if (!seconds) return std::nullopt;
  const auto zone = read_zone(reader);
  reader.skip_spaces();
  if (!zone || !reader.at_end()) return std::nullopt;
  moment.timed = true;
  moment.seconds = *seconds;
  moment.days += (*seconds + *zone) / k_day;
  return moment;
}

std::string moment_text(double days, DateOrder order, bool timed) {
  if (order == DateOrder::clock) {
    const auto seconds = static_cast<std::int64_t>(std::llround(days * k_day));
    return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  }
  const double whole = std::floor(days);
  const auto second = static_cast<int>(std::lround((days - whole) * k_day)) % static_cast<int>(k_day);
  const std::string clock = fmt::format("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(static_cast<std::int64_t>(whole)))};
  return fmt::format("{:04}-{:02}-{:02}{}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), timed ? " " + clock : "");
}

std::string_view order_text(DateOrder order) {
  switch (order) {
    case DateOrder::ymd:
      return "year-month-day";
    case DateOrder::dmy:
      return "day.month.year";
    case DateOrder::mdy:
      return "month/day/year";
    case DateOrder::clock:
      break;
  }
  return "hour:minute";
}

}  // namespace ulmus::detail
