#include "data/csv_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::array<char, 4> k_delimiters{',', ';', '\t', '|'};

[[noreturn]] void throw_data_error(const fs::path& file, std::int64_t line, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' line {}{}", file.string(), line, what));
}

}  // namespace

bool RowReader::next() {
  while (at_ < text_.size()) {
    line = number_;
    count_ = 0;
    bool quoted = false;
    do quoted = field() || quoted;
    while (more());
    fields.resize(count_);
    if (count_ > 1 || quoted || !fields[0].empty() || blank_is_a_row) return true;
    ++blank_lines;
  }
  return false;
}

bool RowReader::at_line_end() const { return at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '\r'; }

bool RowReader::at_white() const { return at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t'); }

bool RowReader::at_delimiter() const {
  return at_ < text_.size() && (text_[at_] == delimiter_ || (spaced_ && at_white()));
}

void RowReader::skip_white() {
  while (at_white() && (spaced_ || text_[at_] != delimiter_)) ++at_;
}

/// Skips a line break of any kind.
void RowReader::pass_line_end() {
  // CR CR LF results from writing CRLF to a file that converts LF to CRLF.
  if (text_.substr(at_, 3) == "\r\r\n")
    at_ += 2;
  else if (text_.substr(at_, 2) == "\r\n")
    ++at_;
  ++at_;
  ++number_;
}

/// Skips the end of a field; returns whether the row has another field.
bool RowReader::more() {
  if (spaced_) {
    skip_white();
    if (!at_line_end()) return true;
  }
  if (at_ == text_.size()) return false;
  const bool another = text_[at_] == delimiter_;
  another ? static_cast<void>(++at_) : pass_line_end();
  return another;
}

/// Reads a field up to its delimiter or line end; returns whether it was quoted.
bool RowReader::field() {
  if (count_ == fields.size()) fields.emplace_back();
  std::string& text = fields[count_++];
  text.clear();
  skip_white();
  if (at_ < text_.size() && text_[at_] == '"') {
    quoted_field(text);
    return true;
  }
  const std::size_t begin = at_;
  while (!at_line_end() && !at_delimiter()) ++at_;
  std::size_t end = at_;
  while (end > begin && (text_[end - 1] == ' ' || text_[end - 1] == '\t')) --end;
  text = text_.substr(begin, end - begin);
  return false;
}

void RowReader::quoted_field(std::string& text) {
  const std::int64_t begin = number_;
  for (++at_;;) {
    const std::size_t stop = text_.find_first_of("\"\r\n", at_);
    if (stop == std::string_view::npos)
      throw_data_error(file_, begin, " has a quoted field without its closing quote; double a quote inside a field");
    text += text_.substr(at_, stop - at_);
    at_ = stop;
    if (text_[at_] != '"') {
      const std::size_t from = at_;
      pass_line_end();
      text += text_.substr(from, at_ - from);
    } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
      text += '"';
      at_ += 2;
    } else {
      ++at_;
      break;
    }
  }
  if (!spaced_) skip_white();
  if (!at_line_end() && !at_delimiter())
    throw_data_error(file_, number_,
                     fmt::format(" has text after the closing quote of a field, '{}'; double a quote inside a field",
                                 printable(text_.substr(at_, 20))));
}

char guess_delimiter(std::string_view text) {
  std::array<std::size_t, k_delimiters.size()> counts{};
  bool quoted = false, blank = true, comment = false;
  for (const char c : text) {
    if ((c == '\n' || c == '\r') && !quoted) {
      if (!blank && !comment) break;
      counts = {};
      blank = true;
      comment = false;
      continue;
    }
    if (blank && c == '#') comment = true;
    if (c != ' ') blank = false;
    if (c == '"' && !comment) quoted = !quoted;
    if (quoted) continue;
    const auto found = std::ranges::find(k_delimiters, c);
    if (found != k_delimiters.end()) ++counts[static_cast<std::size_t>(found - k_delimiters.begin())];
  }
  if (std::ranges::max(counts) == 0) return k_no_delimiter;
  return k_delimiters[static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin())];
}

bool is_spaced(std::string_view text, const fs::path& file) {
  RowReader reader(text, file, k_space, 1);
  while (reader.next())
    if (!reader.fields[0].starts_with('#')) {
      const std::size_t columns = reader.fields.size();
      return columns > 1 && reader.next() && reader.fields.size() == columns;
    }
  return false;
}

char take_separator_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  std::string_view words = line;
  if (words.size() == 7 && words.starts_with('"') && words.ends_with('"')) words = words.substr(1, 5);
  if (words.size() != 5 || !(words.starts_with("sep=") || words.starts_with("SEP=")) || words[4] == '"') return '\0';
  text.remove_prefix(line.size());
  if (text.starts_with("\r")) text.remove_prefix(1);
  if (text.starts_with("\n")) text.remove_prefix(1);
  return words[4];
}

}  // namespace ulmus::detail
