#include "ulmus/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ulmus/base/ascii.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

/// Number of insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string
/// alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// Decodes one UTF-8 character.
char32_t code_point(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead;
  char32_t code = lead & (0x7fu >> character.size());
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  return code;
}

/// Non-ASCII characters that are invisible and change how the text around them is displayed.
bool is_invisible(char32_t code) {
  const auto within = [&](char32_t first, char32_t last) { return code >= first && code <= last; };
  return within(0x80, 0x9f) || code == 0xad || code == 0x61c || code == 0x180e || code == 0x200b ||
         within(0x200e, 0x200f) || within(0x2028, 0x202e) || within(0x2060, 0x206f) || code == 0xfeff ||
         within(0xfff9, 0xfffb) || within(0xe0000, 0xe007f);
}

template <class Number>
Number parse_whole(std::string_view text, std::string_view what, std::string_view kind) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stopped, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc{} || stopped != end || text.empty())
    throw Error(ErrorKind::usage, fmt::format("{} is '{}', expected {}", what, text, kind));
  return value;
}

}  // namespace

std::string nearest_name(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const auto [shorter, longer] = std::minmax({candidate.size(), word.size()});
    if (longer - shorter >= best_distance) continue;  // a lower bound of the distance
    const std::size_t distance = edit_distance(ascii_lower(word), ascii_lower(candidate));
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggest(std::string_view word, std::span<const std::string> candidates) {
  const std::string near = nearest_name(word, candidates);
  if (!near.empty()) return fmt::format("did you mean '{}'?", near);
  return fmt::format("choose one of {}", join(candidates, ", "));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  for (;;) {
    const std::size_t end = text.find(separator);
    pieces.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return pieces;
    text.remove_prefix(end + 1);
  }
}

std::string join(std::span<const std::string> pieces, std::string_view separator) {
  return fmt::format("{}", fmt::join(pieces, separator));
}

double parse_number(std::string_view text, std::string_view what) {
  const double value = parse_whole<double>(text, what, "a number");
  if (!std::isfinite(value))
    throw Error(ErrorKind::usage, fmt::format("{} is '{}', expected a finite number", what, text));
  return value;
}

long long parse_integer(std::string_view text, std::string_view what) {
  return parse_whole<long long>(text, what, "a whole number");
}

std::string format_number(double value) { return fmt::format("{}", value); }

std::string shell_quoted(const std::string& text) {
  if (!text.empty() &&
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") ==
          std::string::npos)
    return text;
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_control)) {  // keeps the result on one line
    std::string quoted = "$'";
    for (const char c : text)
      quoted += is_control(static_cast<unsigned char>(c)) ? fmt::format("\\x{:02x}", static_cast<unsigned char>(c))
                : c == '\'' || c == '\\'                  ? std::string("\\") + c
                                                          : std::string(1, c);
    return quoted + "'";
  }
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string printable(std::string_view text, std::size_t most) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t sound = valid_utf8(text.substr(0, 4));  // at least the first character if it is valid
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = sound == 0 || lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const char32_t code = sound == 0 ? lead : code_point(text.substr(0, length));
    const std::string piece = sound == 0 || lead < 0x20 || lead == 0x7f ? fmt::format("\\x{:02x}", lead)
                              : is_invisible(code) ? fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code))
                                                   : std::string(text.substr(0, length));
    if (shown.size() + piece.size() > most) return shown + "...";
    shown += piece;
    text.remove_prefix(length);
  }
  return shown;
}

std::size_t valid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(i + k < text.size() ? text[i + k] : 0); };
    const unsigned lead = byte(0);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    // Some lead bytes restrict the second byte: no overlong forms, no surrogates, nothing beyond U+10FFFF.
    const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (length == 0 || (length > 1 && (byte(1) < low || byte(1) > high))) return i;
    for (std::size_t k = 2; k < length; ++k)
      if (byte(k) < 0x80 || byte(k) > 0xbf) return i;
    i += length;
  }
  return i;
}

}  // namespace ulmus
