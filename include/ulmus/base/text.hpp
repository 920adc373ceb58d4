#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// The candidate with the smallest edit distance to `word`; empty when none is near enough to be a likely typing
/// mistake.
std::string nearest_name(std::string_view word, std::span<const std::string> candidates);

/// "did you mean 'elm'?" when a candidate is near, otherwise "choose one of ce, elm, ldam".
std::string suggest(std::string_view word, std::span<const std::string> candidates);

/// The pieces of `text` between separators. An empty text has one empty piece.
std::vector<std::string> split(std::string_view text, char separator);

std::string join(std::span<const std::string> pieces, std::string_view separator);

/// The whole of `text` as a finite number; throws Error{usage} naming `what` when it is not one.
double parse_number(std::string_view text, std::string_view what);

/// The whole of `text` as an integer; throws Error{usage} naming `what` when it is not one.
long long parse_integer(std::string_view text, std::string_view what);

/// The shortest decimal text that reads back as the same double: "0.5", "30", "1e-05".
std::string format_number(double value);

/// `text` as one word of a shell on one line, quoted where it needs it; control characters as in bash, $'\x0a'.
std::string shell_quoted(const std::string& text);

/// For printable(): names of files and the messages of other libraries.
inline constexpr std::size_t k_long_text = 1000;

/// `text` for a message of one line or a terminal, which it cannot steer: what is not UTF-8 and ASCII control
/// characters as \xNN, other invisible ones as \uNNNN (C1 controls, marks of writing direction, zero-width spaces, line
/// separators; the joiners U+200C and U+200D stay, as scripts need them). Cut off with "..." after `most` bytes.
std::string printable(std::string_view text, std::size_t most = 60);

/// Length of the longest beginning of `text` that is UTF-8 (RFC 3629: no surrogates, nothing overlong); all of it when
/// `text` is. Names go into JSON files, which hold nothing else.
std::size_t valid_utf8(std::string_view text);

}  // namespace ulmus
