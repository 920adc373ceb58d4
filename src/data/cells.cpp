#include "data/cells.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "data/address.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

struct Substitute {
  std::string_view written;
  char meant;
};
constexpr auto k_substitutes = std::to_array<Substitute>({
    {"\xc2\xa0", ' '},       // no-break space
    {"\xe2\x80\xaf", ' '},   // narrow no-break space
    {"\xe2\x80\x89", ' '},   // thin space
    {"\xe2\x80\x87", ' '},   // figure space
    {"\xe2\x80\x99", '\''},  // apostrophes
    {"\xca\xbc", '\''},
    {"\xe2\x88\x92", '-'},  // minus
    {"\xe2\x80\x93", '-'},  // en dash
});

/// Returns the cell with one byte for every kind of space, apostrophe and minus.
std::string plainly(std::string_view cell) {
  std::string text;
  while (!cell.empty()) {
    const auto found = std::ranges::find_if(k_substitutes, [&](const auto& s) { return cell.starts_with(s.written); });
    text += found == k_substitutes.end() ? cell[0] : found->meant;
    cell.remove_prefix(found == k_substitutes.end() ? 1 : found->written.size());
  }
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

// If one is a prefix of another, the longer one comes first.
constexpr auto k_currencies = std::to_array<std::string_view>(
    {"US$", "HK$", "NZ$", "AU$", "CA$", "R$",  "C$",  "A$",  "S$",  "$",   "€",   "£",   "¥",
     "₹",   "₩",   "₽", "₺",   "₪",   "₫",   "₴",   "₦",   "₱",   "฿",   "₿", "¢",   "USD",
     "EUR", "GBP", "JPY", "CNY", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "INR", "BRL",
     "CAD", "AUD", "NZD", "MXN", "ZAR", "TRY", "KRW", "Rs.", "Rs",  "kr",  "Fr."});

/// Returns the end of a number that starts with a digit, or with a mark before a digit: marks stand between digits, a
/// space stands before three digits.
std::size_t digits_end(std::string_view text, std::size_t at) {
  const auto digit_at = [&](std::size_t i) { return i < text.size() && is_digit(text[i]); };
  for (;;) {
    while (digit_at(at)) ++at;
    if (at == text.size()) return at;
    const char c = text[at];
    const bool mark = (c == ',' || c == '.' || c == '\'' || c == '_') && digit_at(at + 1);
    const bool space = c == ' ' && digit_at(at + 1) && digit_at(at + 2) && digit_at(at + 3) && !digit_at(at + 4);
    if (!mark && !space) break;
    ++at;
  }
  if (text[at] == 'e' || text[at] == 'E') {
    std::size_t exponent = at + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (digit_at(exponent)) {
      while (digit_at(exponent)) ++exponent;
      return exponent;
    }
  }
  // "5." is a number, "5. Platz" is not.
  return at + 1 == text.size() && (text[at] == '.' || text[at] == ',') ? at + 1 : at;
}

bool is_unit(std::string_view text) {
  if (text.empty()) return true;
  if (text.size() > 24 || (!is_letter(text[0]) && std::string_view("%\"'$").find(text[0]) == std::string_view::npos))
    return false;
  return std::ranges::all_of(text, [](char c) { return is_letter(c) || std::string_view("%\"'$/. ").find(c) < 7; });
}

/// Removes the separators of groups of three digits, or of two before the last three as in India; "" for other groups.
std::string ungrouped(std::string_view whole, char decimal) {
  const auto mark = std::ranges::find_if_not(whole, is_digit);
  if (mark == whole.end()) return std::string(whole);
  if (*mark == decimal) return "";
  std::string digits;
  const std::vector<std::string> groups = split(whole, *mark);
  const bool of_two = *mark == ',' && groups.size() > 2 && groups[1].size() == 2;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string& group = groups[i];
    const std::size_t most = of_two && i + 1 < groups.size() ? 2 : 3;
    if (!std::ranges::all_of(group, is_digit)) return "";
    if (i == 0 ? group.empty() || group.size() > most || group[0] == '0' : group.size() != most) return "";
    digits += group;
  }
  return digits;
}

}  // namespace

bool is_missing(std::string_view cell) {
  const auto is = [&](std::string_view word) {
    return std::ranges::equal(cell, word,
                              [](char c, char w) { return c == w || (c >= 'A' && c <= 'Z' && c + 32 == w); });
  };
  return cell.empty() || cell == "?" || is("na") || is("n/a") || is("#n/a") || is("<na>") || is("nan") || is("nat") ||
         is("null") || is("nil") || is("none") || is("\\n") || is("#null!");
}

std::optional<double> number_in(std::string_view cell) {
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  double value = 0;
  const auto [stopped, status] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (cell.empty() || stopped != cell.data() + cell.size()) return std::nullopt;
  // Too large or too small: strtod decides which, and rounds small values.
  if (status == std::errc::result_out_of_range) value = std::strtod(std::string(cell).c_str(), nullptr);
  if (status == std::errc::invalid_argument || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<WrittenNumber> written_number(std::string_view cell) {
  const std::string plain = plainly(cell);
  std::string_view text = plain;
  WrittenNumber number;
  bool is_signed = false;
  bool open = false;
  const auto skip_spaces = [&] { text.remove_prefix(std::min(text.find_first_not_of(' '), text.size())); };
  for (skip_spaces(); !text.empty(); skip_spaces()) {
    const bool mark = (text[0] == '.' || text[0] == ',') && text.size() > 1 && is_digit(text[1]);
    if (is_digit(text[0]) || mark) break;
    if ((text[0] == '-' || text[0] == '+') && !is_signed && !open) {
      is_signed = true;
      number.negative = text[0] == '-';
      text.remove_prefix(1);
    } else if (text[0] == '(' && !open && !is_signed) {
      open = number.negative = true;
      text.remove_prefix(1);
    } else {
      const auto currency = std::ranges::find_if(k_currencies, [&](auto name) { return text.starts_with(name); });
      if (currency == k_currencies.end() || !number.prefix.empty()) return std::nullopt;
      number.prefix = *currency;
      text.remove_prefix(currency->size());
    }
  }
  if (text.empty()) return std::nullopt;
  const std::size_t end = digits_end(text, 0);
  number.digits = text.substr(0, end);
  text.remove_prefix(end);
  // After the number: a unit, and a closing parenthesis or a sign, in either order.
  for (int i = 0; i < 2; ++i) {
    while (text.ends_with(' ')) text.remove_suffix(1);
    skip_spaces();
    const auto take = [&](char c) {
      if (text.starts_with(c)) {
        text.remove_prefix(1);
        return true;
      }
      if (text.ends_with(c)) {
        text.remove_suffix(1);
        return true;
      }
      return false;
    };
    if (open && take(')')) {
      open = false;
    } else if (!is_signed && !number.negative && take('-')) {
      is_signed = number.negative = true;
    }
  }
  if (open || !is_unit(text)) return std::nullopt;
  number.suffix = text;
  return number;
}

bool same_unit(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (a == b) return true;
  // "min" and "mins" are the same unit; "m" and "ms" are not.
  const std::string_view rest = b.starts_with(a) ? b.substr(a.size()) : "";
  return a.size() >= 3 && (rest == "s" || rest == "e" || rest == "n" || rest == "en" || rest == ".");
}

std::optional<double> number_in(std::string_view cell, const NumberFormat& format) {
  if (format.plain()) return number_in(cell);
  const auto written = written_number(cell);
  if (!written || written->prefix != format.prefix || !same_unit(written->suffix, format.suffix)) return std::nullopt;
  const std::string_view digits = written->digits;
  const std::size_t exponent = std::min(digits.find_first_of("eE"), digits.size());
  const std::size_t mark = std::min(digits.find(format.decimal), exponent);
  const std::string_view whole = digits.substr(0, mark);
  std::string text = ungrouped(whole, format.decimal);
  if (text.size() != whole.size() && !format.grouped) return std::nullopt;
  if (text.empty() && !whole.empty()) return std::nullopt;
  if (mark < exponent) {
    const std::string_view fraction = digits.substr(mark + 1, exponent - mark - 1);
    if (!std::ranges::all_of(fraction, is_digit)) return std::nullopt;
    text += '.';
    text += fraction;
  }
  text += digits.substr(exponent);
  const auto value = number_in(text);
  return value && written->negative ? std::optional(-*value) : value;
}

bool is_grouped(std::string_view cell, const NumberFormat& format) {
  const auto written = written_number(cell);
  if (!written) return false;
  const std::size_t end = std::min(written->digits.find(format.decimal), written->digits.find_first_of("eE"));
  return !std::ranges::all_of(std::string_view(written->digits).substr(0, end), is_digit);
}

std::string cell_text(const Table& table, std::int64_t row, std::size_t column) {
  return fmt::format("'{}' line {}: column '{}' is '{}'", table.file.string(),
                     table.lines[static_cast<std::size_t>(row)], printable(table.columns[column].name),
                     printable(table.cell(row, column)));
}

std::string advised(std::string_view name) { return printable(escape_address(name)); }

std::string format_text(const NumberFormat& format) {
  std::string text = "numbers";
  if (format.decimal == ',') text += " with decimal commas";
  if (format.grouped) text += fmt::format("{} thousands in groups", format.decimal == ',' ? " and" : " with");
  for (const std::string& unit : {format.prefix, format.suffix})
    if (!unit.empty()) text += fmt::format(" in {}", printable(unit));
  return text;
}

}  // namespace ulmus::detail
