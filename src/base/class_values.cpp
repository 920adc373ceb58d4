#include "ulmus/base/class_values.hpp"

#include <fmt/format.h>

#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus {
namespace {

[[noreturn]] void throw_data_error(const std::filesystem::path& file, std::int64_t line, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' line {} {}", file.string(), line, what));
}

/// Removes a comment: from a `#` at the beginning or after white space, outside quotes.
std::string_view strip_comment(std::string_view line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    if (line[i] == '#' && !quoted && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) return line.substr(0, i);
  }
  return line;
}

std::string unquote(std::string_view text) {
  text = trim(text);
  if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return class_name(text);
  std::string plain;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    plain += text[i];
    if (text.substr(i).starts_with("\"\"") && i + 2 < text.size()) ++i;
  }
  return class_name(plain);
}

/// Splits at commas, semicolons or tabs outside quotes; without any, splits off a number at the end.
std::vector<std::string> split_fields(std::string_view line) {
  std::vector<std::string> fields;
  bool quoted = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    if (quoted || std::string_view(",;\t").find(line[i]) == std::string_view::npos) continue;
    fields.push_back(unquote(line.substr(begin, i - begin)));
    begin = i + 1;
  }
  line = trim(line.substr(begin));
  const std::size_t gap = line.find_last_of(' ');
  if (fields.empty() && gap != std::string_view::npos && number_name(line.substr(gap + 1)))
    return {unquote(line.substr(0, gap)), std::string(line.substr(gap + 1))};
  fields.push_back(unquote(line));
  return fields;
}

}  // namespace

ClassValues parse_class_values(std::string_view bytes, const std::filesystem::path& file) {
  ClassValues values{.file = file};
  std::size_t width = 0;
  std::int64_t number = 0;
  const std::string content = utf8_text(bytes, file);
  for (const std::string_view text : text_lines(content)) {
    ++number;
    const std::string_view line = trim(strip_comment(text));
    if (line.empty()) continue;
    std::vector<std::string> fields = split_fields(line);
    if (fields.size() > 2)
      throw_data_error(file, number,
                       fmt::format("has {} fields, expected a number, or a class's name and a number; quote a name "
                                   "that has a comma",
                                   fields.size()));
    if (fields.size() == 1) fields[0] = class_name(std::string_view(fields[0]).substr(0, fields[0].find('#')));
    const bool is_header = width == 0 && !number_name(fields.back());
    if (width == 0) width = fields.size();
    if (fields.size() != width)
      throw_data_error(
          file, number,
          fmt::format("is '{}', expected {} as in the lines before; name the class in every line or in none",
                      printable(line), width == 1 ? "a number alone" : "a class's name and a number"));
    if (is_header && values.header == 0) {
      values.header = number;
      continue;
    }
    values.lines.push_back({width == 2 ? fields[0] : "", fields.back(), number});
  }
  values.named = width == 2;
  return values;
}

ClassValues read_class_values(const std::filesystem::path& file) { return parse_class_values(read_file(file), file); }

std::vector<ClassValues::Line> in_class_order(const ClassValues& values, std::span<const std::string> class_names,
                                              std::int64_t classes) {
  if (!values.named) {
    if (std::ssize(values.lines) != classes)
      throw Error(
          ErrorKind::data,
          fmt::format("'{}' has {} numbers{}, expected one for each of {} classes; write them in the order of "
                      "the classes, or as lines name,number",
                      values.file.string(), values.lines.size(),
                      values.header == 0 ? "" : fmt::format(" after the header in line {}", values.header), classes));
    return values.lines;
  }
  std::vector<std::string> numbers;
  if (class_names.empty())
    for (std::int64_t c = 0; c < classes; ++c) numbers.push_back(fmt::format("{}", c));
  const std::span<const std::string> names = class_names.empty() ? numbers : class_names;
  const NameIndex index(names);
  std::vector<ClassValues::Line> ordered(names.size());
  for (const ClassValues::Line& line : values.lines) {
    const auto place = index.find(line.name);
    if (!place)
      throw_data_error(values.file, line.line,
                       fmt::format("names '{}', which is no class{}", printable(line.name), index.advice(line.name)));
    ClassValues::Line& taken = ordered[static_cast<std::size_t>(*place)];
    if (taken.line != 0)
      throw_data_error(
          values.file, line.line,
          fmt::format("names the class '{}' of line {} again; keep one of them", printable(line.name), taken.line));
    taken = line;
  }
  for (std::size_t c = 0; c < ordered.size(); ++c)
    if (ordered[c].line == 0)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has no line for the class '{}'; add it, one for each of {} classes",
                              values.file.string(), printable(names[c]), names.size()));
  return ordered;
}

}  // namespace ulmus
