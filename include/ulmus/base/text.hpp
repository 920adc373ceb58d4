#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// Returns the candidate with the smallest edit distance to `word`, or empty if none is close enough to be a likely
/// typo.
std::string nearest_name(std::string_view word, std::span<const std::string> candidates);

/// "did you mean 'elm'?" if a candidate is similar, otherwise "choose one of ce, elm, ldam".
std::string suggest(std::string_view word, std::span<const std::string> candidates);

/// Splits `text` at each separator. An empty text gives one empty piece.
std::vector<std::string> split(std::string_view text, char separator);

std::string join(std::span<const std::string> pieces, std::string_view separator);

/// Parses all of `text` as a finite number; throws Error{usage} naming `what` otherwise.
double parse_number(std::string_view text, std::string_view what);

/// Parses all of `text` as an integer; throws Error{usage} naming `what` otherwise.
long long parse_integer(std::string_view text, std::string_view what);

/// The shortest decimal text that parses to the same double: "0.5", "30", "1e-05".
std::string format_number(double value);

/// Returns `text` as one shell word on one line, quoted if necessary; control characters as in bash, $'\x0a'.
std::string shell_quoted(const std::string& text);

/// Limit of printable() for file names and messages of other libraries.
inline constexpr std::size_t k_long_text = 1000;

/// Returns `text` in a form that is safe in a one-line message or on a terminal: invalid UTF-8 and ASCII control
/// characters as \xNN, other invisible characters as \uNNNN (C1 controls, writing direction marks, zero-width spaces,
/// line separators; the joiners U+200C and U+200D stay, because scripts need them). Truncates with "..." after `most`
/// bytes.
std::string printable(std::string_view text, std::size_t most = 60);

/// Length in bytes of the longest prefix of `text` that is valid UTF-8 (RFC 3629: no surrogates, no overlong forms).
/// Names are written to JSON files, which must be UTF-8.
std::size_t valid_utf8(std::string_view text);

}  // namespace ulmus
