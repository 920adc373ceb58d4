#include "ulmus/data/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "data/cells.hpp"
#include "data/columns.hpp"
#include "data/csv_rows.hpp"
#include "data/labels.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using detail::k_no_delimiter;
using detail::k_space;
using detail::number_in;
using detail::RowReader;

[[noreturn]] void throw_data_error(const fs::path& file, std::int64_t line, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' line {}{}", file.string(), line, what));
}

std::string delimiter_text(char delimiter) {
  return delimiter == '\t'             ? "tab"
         : delimiter == k_space        ? "space"
         : delimiter == k_no_delimiter ? "none found"
                                       : std::string(1, delimiter);
}

/// Advice for a header in which a name is not found, for example if it looks like a data row.
std::string header_hint(std::span<const std::string> names) {
  const auto numbers =
      std::ranges::count_if(names, [](const std::string& name) { return number_in(name).has_value(); });
  if (2 * numbers <= std::ssize(names)) return "";
  return fmt::format(
      "; {} of the {} names in its first line are numbers, so the header line is probably missing: put "
      "one before it",
      numbers, names.size());
}

std::string column_list(std::span<const std::string> names) {
  constexpr std::size_t k_shown = 20;
  std::vector<std::string> shown;
  for (const std::string& name : names.first(std::min(names.size(), k_shown))) shown.push_back(printable(name));
  return join(shown, ", ") + (names.size() > k_shown ? fmt::format(" and {} more", names.size() - k_shown) : "");
}

std::size_t find_column(std::span<const std::string> names, const std::string& name, std::string_view what,
                        const fs::path& file) {
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const std::string near = nearest_name(name, names);
  throw Error(ErrorKind::usage, fmt::format("'{}' has no column '{}' ({}); {}", file.string(), name, what,
                                            near.empty() ? "its columns are " + column_list(names) + header_hint(names)
                                                         : fmt::format("did you mean '{}'?", printable(near))));
}

void check_header(std::span<const std::string> names, std::int64_t line, const fs::path& file) {
  if (std::ranges::all_of(names, [](const std::string& name) { return number_in(name).has_value(); }))
    throw_data_error(file, line, " has numbers alone, expected the names of the columns; put a header line before it");
  std::vector<std::string> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);
  if (const auto twin = std::ranges::adjacent_find(sorted); twin != sorted.end())
    throw_data_error(
        file, line, fmt::format(" has the column name '{}' twice; rename one{}", printable(*twin), header_hint(names)));
}

/// Names columns without a name, such as the row numbers that pandas and R write, by position: "column 1".
void name_unnamed(std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::string place = fmt::format("column {}", i + 1);
    while (names[i].empty() && std::ranges::find(names, place) != names.end()) place += '\'';
    if (names[i].empty()) names[i] = std::move(place);
  }
}

/// The columns of the file that become columns of the table, in order.
struct Header {
  std::size_t fields = 0;
  std::optional<std::size_t> label;  ///< nothing: no label is read
  std::vector<std::size_t> kept;
  std::vector<TableColumn> columns;
};

Header read_header(std::span<const std::string> names, std::int64_t line, const fs::path& file,
                   const CsvOptions& options) {
  check_header(names, line, file);
  if (options.label.empty())
    throw Error(ErrorKind::usage, fmt::format("'{}' is opened without the label's column; add ?label=COLUMN, one of {}",
                                              file.string(), column_list(names)));
  Header header;
  header.fields = names.size();
  header.label = find_column(names, options.label, "label", file);
  std::vector<bool> left_out(names.size(), false);
  for (const std::string& name : options.drop) {
    if (name == options.label)
      throw Error(ErrorKind::usage, fmt::format("column '{}' is the label and cannot be dropped; name another", name));
    left_out[find_column(names, name, "drop", file)] = true;
  }
  left_out[*header.label] = true;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (!left_out[i]) {
      header.kept.push_back(i);
      header.columns.push_back({names[i]});
    }
  if (header.kept.empty())
    throw_data_error(file, line,
                     fmt::format(" leaves no column to learn from beside the label '{}' (delimiter {}); if another "
                                 "character stands between the columns, add &delimiter=",
                                 options.label, delimiter_text(options.delimiter)));
  const auto find_kept = [&](const std::string& name, std::string_view key) -> TableColumn& {
    const std::size_t position = find_column(names, name, key, file);
    const auto kept = std::ranges::find(header.kept, position);
    if (kept == header.kept.end())
      throw Error(ErrorKind::usage, fmt::format("column '{}' is {}= but {}; leave it out of one", name, key,
                                                position == header.label ? "it is the label" : "dropped with drop="));
    return header.columns[static_cast<std::size_t>(kept - header.kept.begin())];
  };
  for (const std::string& name : options.categorical) find_kept(name, "categorical").kind = ColumnKind::categorical;
  for (const std::string& name : options.keep) find_kept(name, "keep");
  return header;
}

/// Finds the columns of the training part, in any order.
Header match_header(std::span<const std::string> names, std::int64_t line, const fs::path& file,
                    const CsvOptions& options, const Table& training) {
  check_header(names, line, file);
  Header header;
  header.fields = names.size();
  header.columns = training.columns;
  std::unordered_map<std::string_view, std::size_t> positions;
  for (std::size_t i = 0; i < names.size(); ++i) positions.emplace(names[i], i);
  const auto take = [&](const std::string& name) {
    const auto found = positions.find(name);
    if (found == positions.end())
      throw_data_error(file, line,
                       fmt::format(" has no column '{}', which the training part '{}' has; add it", printable(name),
                                   training.file.string()));
    const std::size_t position = found->second;
    positions.erase(found);
    return position;
  };
  header.label = take(training.label);
  // Left-out columns are not read and may be missing.
  std::erase_if(header.columns, [](const TableColumn& column) { return !column.left_out.empty(); });
  for (const TableColumn& column : header.columns) header.kept.push_back(take(column.name));
  for (const TableColumn& column : training.columns) positions.erase(column.name);
  for (const std::string& name : options.drop) positions.erase(name);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (positions.contains(names[i]))
      throw_data_error(
          file, line,
          fmt::format(" has the column '{}', which the training part '{}' lacks; remove it or add &drop={}",
                      printable(names[i]), training.file.string(), detail::advised(names[i])));
  return header;
}

/// Finds the columns of the encoding, in any order.
Header trained_header(std::span<const std::string> names, std::int64_t line, const fs::path& file,
                      const TableEncoding& encoding) {
  check_header(names, line, file);
  Header header{.fields = names.size()};
  for (const ColumnEncoding& column : encoding.columns) {
    const auto found = std::ranges::find(names, column.name);
    if (found == names.end())
      throw_data_error(file, line,
                       fmt::format(" has no column '{}', which was trained on; add it{}", printable(column.name),
                                   header_hint(names)));
    header.kept.push_back(static_cast<std::size_t>(found - names.begin()));
    header.columns.push_back(
        {.name = column.name, .kind = column.kind, .number = column.number, .order = column.order});
  }
  return header;
}

/// Reads cells and labels; labels are still text.
detail::LabelTexts read_rows(RowReader& reader, const Header& header, const CsvOptions& options, Table& table) {
  detail::LabelTexts labels;
  while (reader.next()) {
    if (reader.fields.size() != header.fields)
      throw_data_error(
          table.file, reader.line,
          fmt::format(" has {} fields, expected {} as in the header (delimiter {}); correct the line, quote fields "
                      "that hold a delimiter, or add &delimiter= if it is another{}",
                      reader.fields.size(), header.fields, delimiter_text(options.delimiter),
                      reader.fields.size() == header.fields + 1
                          ? "; if the rows begin with names that have no title, as R writes them, put a title first"
                          : ""));
    labels.add(header.label ? reader.fields[*header.label] : "");
    for (const std::size_t i : header.kept) {
      table.text += reader.fields[i];
      table.ends.push_back(table.text.size());
    }
    table.lines.push_back(reader.line);
  }
  if (labels.size() == 0)
    throw Error(ErrorKind::data, fmt::format("'{}' has a header but no row; add rows", table.file.string()));
  return labels;
}

detail::LabelRules label_rules(const Table& table, const CsvOptions& options) {
  return {.literal = options.literal,
          .known = options.classes,
          .file = table.file,
          .place = [&table](std::size_t i) { return fmt::format("'{}' line {}", table.file.string(), table.lines[i]); },
          .column = table.label,
          .may_be_quantity = true};
}

std::string kind_text(const TableColumn& column) {
  if (column.kind == ColumnKind::categorical) return "categorical";
  if (column.kind == ColumnKind::date) return fmt::format("date {}", detail::order_text(column.order));
  const NumberFormat& format = column.number;
  if (format.plain()) return "numeric";
  return fmt::format("numeric {} {} {} {}", format.decimal, format.grouped, format.prefix, format.suffix);
}

std::string table_sha256(const Table& table, std::string_view bytes) {
  std::string content = fmt::format("label{}{}\n", '\0', table.label);
  for (const TableColumn& column : table.columns)
    if (column.left_out.empty()) content += fmt::format("{}{}{}\n", kind_text(column), '\0', column.name);
  return sha256(content + sha256(bytes));
}

/// Skips to the header: past lines that begin with `#`, unless one of them is the header. `is_header` decides by the
/// wanted names; if it accepts neither this line nor the next, a comment is a line with another number of fields than
/// the next one.
template <class IsHeader>
std::int64_t find_header(RowReader& reader, const fs::path& file, IsHeader is_header) {
  const auto read = [&] {
    if (!reader.next())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' is empty, expected a header line with the names of the columns", file.string()));
  };
  std::int64_t comments = 0;
  for (read(); reader.fields[0].starts_with('#') && !is_header(reader.fields); read()) {
    RowReader ahead = reader;
    if (!ahead.next()) break;
    if (!ahead.fields[0].starts_with('#') && !is_header(ahead.fields) && ahead.fields.size() > 1 &&
        ahead.fields.size() == reader.fields.size())
      break;
    ++comments;
  }
  return comments;
}

/// Reads everything except the classes and the kinds of the columns; `labels` receives the labels as text.
/// `make_header` is called with the column names and their line; `wanted` are names that the header contains. The
/// delimiter in `options` is set to that of the file.
template <class MakeHeader>
Table read_cells(std::string_view bytes, const fs::path& file, CsvOptions& options, detail::LabelTexts& labels,
                 std::span<const std::string> wanted, MakeHeader make_header) {
  const std::string content = utf8_text(bytes, file);
  std::string_view text = content;
  const char separator = detail::take_separator_line(text);
  if (options.delimiter == '\0') options.delimiter = separator != '\0' ? separator : detail::guess_delimiter(text);
  const std::string_view first_line = text.substr(0, text.find_first_of("\r\n"));
  if (options.delimiter == k_no_delimiter && std::ranges::find(wanted, first_line) == wanted.end() &&
      detail::is_spaced(text, file))
    options.delimiter = k_space;
  RowReader reader(text, file, options.delimiter, separator != '\0' ? 2 : 1);
  const std::int64_t comments = find_header(reader, file, [&](std::span<const std::string> names) {
    return std::ranges::all_of(wanted, [&](const auto& name) { return std::ranges::find(names, name) != names.end(); });
  });
  reader.blank_is_a_row = reader.fields.size() == 1;
  reader.blank_lines = 0;
  name_unnamed(reader.fields);
  const Header header = make_header(reader.fields, reader.line, options);
  Table table;
  table.file = file;
  table.label = options.label;
  table.columns = header.columns;
  labels = read_rows(reader, header, options, table);
  const auto note = [&](std::int64_t lines, std::string_view kind) {
    if (lines > 0)
      table.notes.push_back(
          fmt::format("'{}': {} {} skipped", file.string(), lines,
                      lines == 1 ? fmt::format("{} line was", kind) : fmt::format("{} lines were", kind)));
  };
  note(comments, "comment");
  note(reader.blank_lines, "blank");
  return table;
}

void require_a_column(const Table& table) {
  if (std::ranges::any_of(table.columns, &std::string::empty, &TableColumn::left_out)) return;
  std::vector<std::string> reasons;
  for (const TableColumn& column : table.columns)
    if (reasons.size() < 5) reasons.push_back(fmt::format("'{}' {}", printable(column.name), column.left_out));
  throw Error(ErrorKind::data, fmt::format("'{}' leaves no column to learn from beside the label: {}; add a column, or "
                                           "use one of these with &keep=COLUMN",
                                           table.file.string(), join(reasons, ", ")));
}

}  // namespace

Table read_csv(std::string_view bytes, const fs::path& file, const CsvOptions& options, const TableEncoding* trained) {
  detail::LabelTexts labels;
  CsvOptions with = options;
  Table table = read_cells(
      bytes, file, with, labels, {&options.label, 1},
      [&](const auto& names, std::int64_t line, const auto&) { return read_header(names, line, file, with); });
  table.dropped = options.drop;
  detail::Classes classes = detail::classes_of(labels, label_rules(table, options));
  table.class_names = std::move(classes.names);
  table.labels = std::move(classes.labels);
  detail::decide_columns(table, with, trained);
  require_a_column(table);
  table.sha256 = table_sha256(table, bytes);
  return table;
}

Table read_test_csv(std::string_view bytes, const fs::path& file, const CsvOptions& options, const Table& training) {
  detail::LabelTexts labels;
  CsvOptions with = options;
  Table table = read_cells(bytes, file, with, labels, {&training.label, 1},
                           [&](const auto& names, std::int64_t line, const auto&) {
                             return match_header(names, line, file, with, training);
                           });
  table.class_names = training.class_names;
  table.labels = detail::labels_among(labels, table.class_names, label_rules(table, options), "the training part");
  detail::check_cells(table, fmt::format("in the training part '{}'", training.file.string()),
                      "correct it, leave it empty if it is missing, or add &categorical=");
  table.sha256 = table_sha256(table, bytes);
  return table;
}

Table read_unlabelled_csv(std::string_view bytes, const fs::path& file, char delimiter, const TableEncoding& encoding) {
  detail::LabelTexts labels;
  CsvOptions with{.delimiter = delimiter};
  std::vector<std::string> wanted;
  for (const ColumnEncoding& column : encoding.columns) wanted.push_back(column.name);
  Table table = read_cells(bytes, file, with, labels, wanted, [&](const auto& names, std::int64_t line, const auto&) {
    return trained_header(names, line, file, encoding);
  });
  table.class_names = encoding.class_names;
  table.labels.assign(labels.inverse.size(), 0);
  return table;
}

}  // namespace ulmus
