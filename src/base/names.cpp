#include "ulmus/base/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "ulmus/base/ascii.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// Leading and trailing white space in UTF-8: ASCII white space, no-break space, the spaces of U+2000, ideographic
/// space, byte order mark.
constexpr std::array<std::string_view, 23> k_white{" ",
                                                   "\t",
                                                   "\r",
                                                   "\n",
                                                   "\v",
                                                   "\f",
                                                   "\xc2\xa0",
                                                   "\xe1\x9a\x80",
                                                   "\xe2\x80\x80",
                                                   "\xe2\x80\x81",
                                                   "\xe2\x80\x82",
                                                   "\xe2\x80\x83",
                                                   "\xe2\x80\x84",
                                                   "\xe2\x80\x85",
                                                   "\xe2\x80\x86",
                                                   "\xe2\x80\x87",
                                                   "\xe2\x80\x88",
                                                   "\xe2\x80\x89",
                                                   "\xe2\x80\x8a",
                                                   "\xe2\x80\x8b",
                                                   "\xe2\x80\xaf",
                                                   "\xe3\x80\x80",
                                                   "\xef\xbb\xbf"};

bool cut_white(std::string_view& text) {
  for (const std::string_view white : k_white) {
    if (text.starts_with(white)) {
      text.remove_prefix(white.size());
      return true;
    }
    if (text.ends_with(white)) {
      text.remove_suffix(white.size());
      return true;
    }
  }
  return false;
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Compares two results of number_name numerically.
bool is_smaller(std::string_view a, std::string_view b) {
  const bool negative = a.starts_with('-');
  if (negative != b.starts_with('-')) return negative;
  if (negative) {
    a.remove_prefix(1);
    b.remove_prefix(1);
    std::swap(a, b);
  }
  const std::size_t whole_a = std::min(a.find('.'), a.size());
  const std::size_t whole_b = std::min(b.find('.'), b.size());
  return whole_a != whole_b ? whole_a < whole_b : a < b;
}

std::string quoted_list(std::span<const std::string> names) {
  constexpr std::size_t k_shown = 8;
  std::vector<std::string> shown;
  for (const std::string& name : names.first(std::min(names.size(), k_shown)))
    shown.push_back(fmt::format("'{}'", printable(name)));
  return join(shown, ", ") + (names.size() > k_shown ? fmt::format(" and {} more", names.size() - k_shown) : "");
}

}  // namespace

std::string_view trim(std::string_view text) {
  while (cut_white(text)) continue;
  return text;
}

Spelling common_spelling(std::span<const std::string> names) {
  for (const Spelling spelling : {&number_name, &boolean_name})
    if (std::ranges::all_of(names, [&](const std::string& name) { return spelling(name).has_value(); }))
      return spelling;
  return nullptr;
}

std::string class_name(std::string_view text) {
  const std::string_view bare = trim(text);
  return is_plain(bare) ? std::string(bare) : compose(bare);
}

std::string lookalike_key(std::string_view name) {
  const std::string folded = is_plain(name) ? ascii_lower(name) : fold(name);
  std::string looks;
  for (const char c : folded)
    if (c != ' ' || !looks.ends_with(' ')) looks += c;
  return looks;
}

std::optional<std::string> number_name(std::string_view text) {
  constexpr int k_largest_exponent = 300;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::string digits;
  std::size_t at = 0;
  while (at < text.size() && is_digit(text[at])) digits += text[at++];
  std::ptrdiff_t point = std::ssize(digits);
  if (at < text.size() && text[at] == '.')
    for (++at; at < text.size() && is_digit(text[at]);) digits += text[at++];
  if (digits.empty()) return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && text[at] == '+' && !text.substr(at).starts_with("+-")) ++at;
    int exponent = 0;
    const auto [stopped, status] = std::from_chars(text.data() + at, text.data() + text.size(), exponent);
    if (status != std::errc{} || std::abs(exponent) > k_largest_exponent) return std::nullopt;
    at = static_cast<std::size_t>(stopped - text.data());
    point += exponent;
  }
  if (at != text.size()) return std::nullopt;
  if (point < 0) digits.insert(0, static_cast<std::size_t>(-point), '0');
  point = std::max<std::ptrdiff_t>(point, 0);
  if (point > std::ssize(digits)) digits.append(static_cast<std::size_t>(point - std::ssize(digits)), '0');
  std::string whole = digits.substr(0, static_cast<std::size_t>(point));
  std::string fraction = digits.substr(static_cast<std::size_t>(point));
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (whole.empty()) whole = "0";
  if (whole == "0" && fraction.empty()) return "0";
  return (negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

std::optional<std::string> boolean_name(std::string_view text) {
  std::string name = ascii_lower(text);
  if (name == "true" || name == "false") return name;
  return std::nullopt;
}

bool is_missing_mark(std::string_view text) {
  static constexpr std::array<std::string_view, 23> k_marks{
      "",     "?",    "-",   "--",   ".",      "\\n",      "na",   "n/a",     "nan",      "nat",    "null",   "nil",
      "none", "#n/a", "#na", "<na>", "#null!", "#n/a n/a", "-nan", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"};
  return text.size() <= 8 && std::ranges::find(k_marks, ascii_lower(text)) != k_marks.end();
}

void sort_classes(std::vector<std::string>& names) {
  std::ranges::sort(names);
  if (!std::ranges::all_of(names, [](const std::string& name) { return number_name(name).has_value(); })) return;
  std::vector<std::pair<std::string, std::string>> numbered;
  for (std::string& name : names) numbered.emplace_back(*number_name(name), std::move(name));
  std::ranges::stable_sort(numbered, is_smaller, &std::pair<std::string, std::string>::first);
  std::ranges::transform(numbered, names.begin(), [](auto& entry) { return std::move(entry.second); });
}

NameIndex::NameIndex(std::span<const std::string> names) : names_(names.begin(), names.end()) {
  const Spelling spelling = common_spelling(names);
  std::int64_t place = 0;
  for (const std::string& name : names_) exact_.emplace(name, place++);
  place = 0;
  for (const std::string& name : names_) {
    exact_.emplace(class_name(name), place);  // a name that an earlier version stored unnormalised
    if (spelling != nullptr) values_.emplace(*spelling(name), place);
    ++place;
  }
  spelling_ = spelling;
}

std::optional<std::int64_t> NameIndex::find(std::string_view text) const {
  const auto of = [](const auto& map, const std::string& key) -> std::optional<std::int64_t> {
    const auto found = map.find(key);
    return found == map.end() ? std::nullopt : std::optional(found->second);
  };
  if (const auto exact = of(exact_, std::string(text))) return exact;
  const std::string name = class_name(text);
  if (const auto composed = of(exact_, name)) return composed;
  if (spelling_ == nullptr) return std::nullopt;
  const auto value = spelling_(name);
  return value ? of(values_, *value) : std::nullopt;
}

std::string NameIndex::advice(std::string_view text) const {
  const std::string near = number_name(text) ? "" : nearest_name(text, names_);
  return near.empty() ? "; the classes are " + quoted_list(names_)
                      : fmt::format("; did you mean '{}'?", printable(near));
}

}  // namespace ulmus
