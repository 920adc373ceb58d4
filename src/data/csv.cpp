#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "data/cells.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using detail::is_missing;
using detail::number_in;

constexpr std::array<char, 4> k_delimiters{',', ';', '\t', '|'};

[[noreturn]] void refuse(const fs::path& file, std::int64_t line, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' line {}{}", file.string(), line, what));
}

std::string delimiter_text(char delimiter) { return delimiter == '\t' ? "tab" : std::string(1, delimiter); }

/// Rows of fields, one after the other.
class RowReader {
 public:
  RowReader(std::string_view bytes, const fs::path& file, char delimiter)
      : bytes_(bytes), file_(file), delimiter_(delimiter) {}

  std::vector<std::string> fields;
  std::int64_t line = 0;  ///< where the row begins

  /// False at the end. Blank lines are passed over.
  bool next() {
    while (at_ < bytes_.size()) {
      line = number_;
      count_ = 0;
      bool quoted = false;
      do quoted = field() || quoted;
      while (more());
      fields.resize(count_);
      if (count_ > 1 || quoted || !fields[0].empty()) return true;
    }
    return false;
  }

 private:
  bool at_line_end() const { return at_ == bytes_.size() || bytes_[at_] == '\n' || bytes_[at_] == '\r'; }

  void skip_white() {
    while (at_ < bytes_.size() && (bytes_[at_] == ' ' || bytes_[at_] == '\t') && bytes_[at_] != delimiter_) ++at_;
  }

  /// After a line break of any kind.
  void pass_line_end() {
    if (bytes_.substr(at_).starts_with("\r\n")) ++at_;
    ++at_;
    ++number_;
  }

  /// Goes past what ends a field; whether the row has another one.
  bool more() {
    if (at_ == bytes_.size()) return false;
    const bool another = bytes_[at_] == delimiter_;
    another ? static_cast<void>(++at_) : pass_line_end();
    return another;
  }

  /// Reads a field up to its delimiter or line end; whether it was quoted.
  bool field() {
    if (count_ == fields.size()) fields.emplace_back();
    std::string& text = fields[count_++];
    text.clear();
    skip_white();
    if (at_ < bytes_.size() && bytes_[at_] == '"') {
      quoted_field(text);
      return true;
    }
    const std::size_t begin = at_;
    while (!at_line_end() && bytes_[at_] != delimiter_) ++at_;
    std::size_t end = at_;
    while (end > begin && (bytes_[end - 1] == ' ' || bytes_[end - 1] == '\t')) --end;
    text = bytes_.substr(begin, end - begin);
    return false;
  }

  void quoted_field(std::string& text) {
    const std::int64_t begin = number_;
    for (++at_;;) {
      const std::size_t stop = bytes_.find_first_of("\"\r\n", at_);
      if (stop == std::string_view::npos)
        refuse(file_, begin, " has a quoted field without its closing quote; double a quote inside a field");
      text += bytes_.substr(at_, stop - at_);
      at_ = stop;
      if (bytes_[at_] != '"') {
        const std::size_t from = at_;
        pass_line_end();
        text += bytes_.substr(from, at_ - from);
      } else if (at_ + 1 < bytes_.size() && bytes_[at_ + 1] == '"') {
        text += '"';
        at_ += 2;
      } else {
        ++at_;
        break;
      }
    }
    skip_white();
    if (!at_line_end() && bytes_[at_] != delimiter_)
      refuse(file_, number_,
             fmt::format(" has text after the closing quote of a field, '{}'; double a quote inside a field",
                         printable(bytes_.substr(at_, 20))));
  }

  std::string_view bytes_;
  const fs::path& file_;
  char delimiter_;
  std::size_t at_ = 0;
  std::int64_t number_ = 1;  ///< of the line at `at_`
  std::size_t count_ = 0;    ///< fields of the row so far
};

/// The bytes after a byte order mark, which must be UTF-8.
std::string_view text_of(std::string_view bytes, const fs::path& file) {
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff"))
    refuse(file, 1, " begins like UTF-16; save the file as UTF-8");
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  if (const std::size_t sound = valid_utf8(bytes); sound < bytes.size())
    refuse(
        file, 1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(sound), '\n'),
        fmt::format(" is not UTF-8 (byte {:02x}); save the file as UTF-8", static_cast<unsigned char>(bytes[sound])));
  return bytes;
}

char guess_delimiter(std::string_view text) {
  std::array<std::size_t, k_delimiters.size()> counts{};
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    const auto found = std::ranges::find(k_delimiters, c);
    if (found != k_delimiters.end()) ++counts[static_cast<std::size_t>(found - k_delimiters.begin())];
    if ((c == '\n' || c == '\r') && std::ranges::max(counts) > 0) break;
  }
  return k_delimiters[static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin())];
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
                                            near.empty() ? "its columns are " + column_list(names)
                                                         : fmt::format("did you mean '{}'?", printable(near))));
}

void check_header(std::span<const std::string> names, std::int64_t line, const fs::path& file) {
  if (std::ranges::all_of(names, [](const std::string& name) { return number_in(name).has_value(); }))
    refuse(file, line, " has numbers alone, expected the names of the columns; put a header line before it");
  const auto unnamed = std::ranges::find(names, "");
  if (unnamed != names.end())
    refuse(
        file, line,
        fmt::format(" has no name for column {} of {}; name it (a column of row numbers comes from pandas: write the "
                    "file with index=False)",
                    unnamed - names.begin() + 1, names.size()));
  std::vector<std::string> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);
  if (const auto twin = std::ranges::adjacent_find(sorted); twin != sorted.end())
    refuse(file, line, fmt::format(" has the column name '{}' twice; rename one", printable(*twin)));
}

/// Columns of the file that become columns of the table, in order.
struct Header {
  std::size_t fields = 0;
  std::optional<std::size_t> label;  ///< none: no label is read
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
    refuse(file, line,
           fmt::format(" leaves no column to learn from beside the label '{}' (delimiter {}); if another "
                       "character stands between the columns, add &delimiter=",
                       options.label, delimiter_text(options.delimiter)));
  for (const std::string& name : options.categorical) {
    const std::size_t position = find_column(names, name, "categorical", file);
    const auto kept = std::ranges::find(header.kept, position);
    if (kept == header.kept.end())
      throw Error(ErrorKind::usage, fmt::format("column '{}' is categorical= but {}; leave it out of one", name,
                                                position == header.label ? "it is the label" : "dropped with drop="));
    header.columns[static_cast<std::size_t>(kept - header.kept.begin())].kind = ColumnKind::categorical;
  }
  return header;
}

/// The columns of the training part, wherever they are in this file.
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
      refuse(file, line,
             fmt::format(" has no column '{}', which the training part '{}' has; add it", printable(name),
                         training.file.string()));
    const std::size_t position = found->second;
    positions.erase(found);
    return position;
  };
  header.label = take(training.label);
  for (const TableColumn& column : training.columns) header.kept.push_back(take(column.name));
  for (const std::string& name : options.drop) positions.erase(name);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (positions.contains(names[i]))
      refuse(file, line,
             fmt::format(" has the column '{}', which the training part '{}' lacks; remove it or add &drop={}",
                         printable(names[i]), training.file.string(), detail::advised(names[i])));
  return header;
}

/// The columns that were trained on, wherever they are in this file.
Header trained_header(std::span<const std::string> names, std::int64_t line, const fs::path& file,
                      const TableEncoding& encoding) {
  check_header(names, line, file);
  Header header{.fields = names.size()};
  for (const ColumnEncoding& column : encoding.columns) {
    const auto found = std::ranges::find(names, column.name);
    if (found == names.end())
      refuse(file, line, fmt::format(" has no column '{}', which was trained on; add it", printable(column.name)));
    header.kept.push_back(static_cast<std::size_t>(found - names.begin()));
    header.columns.push_back({column.name, column.kind});
  }
  return header;
}

/// Cells and labels, the labels still being text.
detail::LabelTexts read_rows(RowReader& reader, const Header& header, const CsvOptions& options, Table& table) {
  detail::LabelTexts labels;
  while (reader.next()) {
    if (reader.fields.size() != header.fields)
      refuse(table.file, reader.line,
             fmt::format(" has {} fields, expected {} as in the header (delimiter {}); correct the line, quote fields "
                         "that hold a delimiter, or add &delimiter= if it is another",
                         reader.fields.size(), header.fields, delimiter_text(options.delimiter)));
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

bool has_decimal_comma(std::string_view cell) {
  std::string with_point(cell);
  const std::size_t comma = with_point.find(',');
  if (comma == std::string::npos) return false;
  with_point[comma] = '.';
  return number_in(with_point).has_value();
}

/// Numeric when all cells that are there are numbers.
ColumnKind kind_of(const Table& table, std::size_t column) {
  std::int64_t numbers = 0;
  std::int64_t texts = 0;
  std::int64_t first_text = 0;
  bool only_commas = true;
  for (std::int64_t row = 0; row < table.size(); ++row) {
    const std::string_view cell = table.cell(row, column);
    if (is_missing(cell)) continue;
    if (number_in(cell)) {
      ++numbers;
      continue;
    }
    if (texts++ == 0) first_text = row;
    only_commas = only_commas && has_decimal_comma(cell);
  }
  if (texts == 0) return ColumnKind::numeric;
  const std::string name = detail::advised(table.columns[column].name);
  if (only_commas)
    throw Error(ErrorKind::data,
                fmt::format("{}: a number with a decimal comma; write decimal points, or add &categorical={} if these "
                            "are names",
                            detail::cell_text(table, first_text, column), name));
  if (numbers > texts)
    throw Error(ErrorKind::data,
                fmt::format("{}, but {} of its {} values are numbers; correct it, leave it empty if it is missing, or "
                            "add &categorical={} if all are names",
                            detail::cell_text(table, first_text, column), numbers, numbers + texts, name));
  return ColumnKind::categorical;
}

std::string table_sha256(const Table& table, std::string_view bytes) {
  std::string content = fmt::format("label{}{}\n", '\0', table.label);
  for (const TableColumn& column : table.columns)
    content +=
        fmt::format("{}{}{}\n", column.kind == ColumnKind::numeric ? "numeric" : "categorical", '\0', column.name);
  return sha256(content + sha256(bytes));
}

/// Everything but the classes and the kinds of the columns; `labels` take the labels as text. `make_header` is called
/// with the names of the columns and their line.
template <class MakeHeader>
Table read_cells(std::string_view bytes, const fs::path& file, CsvOptions options, detail::LabelTexts& labels,
                 MakeHeader make_header) {
  const std::string_view text = text_of(bytes, file);
  if (options.delimiter == '\0') options.delimiter = guess_delimiter(text);
  RowReader reader(text, file, options.delimiter);
  if (!reader.next())
    throw Error(ErrorKind::data,
                fmt::format("'{}' is empty, expected a header line with the names of the columns", file.string()));
  const Header header = make_header(reader.fields, reader.line, options);
  Table table;
  table.file = file;
  table.label = options.label;
  table.columns = header.columns;
  labels = read_rows(reader, header, options, table);
  return table;
}

Dataset unencoded(const std::shared_ptr<const Table>& table) {
  Dataset data;
  data.class_names = table->class_names;
  data.labels = table->labels;
  data.sha256 = table->sha256;
  data.read_features = [table](std::int64_t, std::span<float>) {
    throw Error(ErrorKind::usage, fmt::format("'{}' is a table whose encoding is not learnt yet; call encode_tables "
                                              "after the split is made",
                                              table->file.string()));
  };
  return data;
}

CsvOptions csv_options(const detail::Address& address) {
  CsvOptions options{.label = address.find("label").value_or(""),
                     .drop = address.list("drop"),
                     .categorical = address.list("categorical"),
                     .literal = detail::literal_names(address)};
  if (const auto delimiter = address.find("delimiter")) {
    if (*delimiter == "tab" || *delimiter == "\\t")
      options.delimiter = '\t';
    else if (delimiter->size() == 1 && std::string_view("\"\r\n").find((*delimiter)[0]) == std::string_view::npos)
      options.delimiter = (*delimiter)[0];
    else
      throw Error(ErrorKind::usage, fmt::format("delimiter is '{}' in data address '{}', expected one character (no "
                                                "quote) or tab",
                                                printable(*delimiter), address.text));
  }
  return options;
}

}  // namespace

namespace detail {

OpenedData open_csv(const Address& address, const OpenOptions& options) {
  refuse_image_options(options, "csv:FILE");
  CsvOptions csv_options = ulmus::csv_options(address);
  csv_options.classes = options.classes;
  const fs::path file = address.file();
  const auto share = [&](Table table) {
    table.name = address.text;
    return std::make_shared<const Table>(std::move(table));
  };
  OpenedData data;
  data.train_table = share(read_csv(read_file(file), file, csv_options));
  data.train = unencoded(data.train_table);
  if (const auto test = address.find("test")) {
    data.test_table = share(read_test_csv(read_file(*test), *test, csv_options, *data.train_table));
    data.test = unencoded(data.test_table);
  }
  return data;
}

Dataset open_unlabelled_csv(const fs::path& file, const Address& training, const TableEncoding& encoding) {
  return encode(read_unlabelled_csv(read_file(file), file, csv_options(training).delimiter, encoding), encoding);
}

}  // namespace detail

Table read_csv(std::string_view bytes, const fs::path& file, const CsvOptions& options) {
  detail::LabelTexts labels;
  Table table = read_cells(bytes, file, options, labels, [&](const auto& names, std::int64_t line, const auto& with) {
    return read_header(names, line, file, with);
  });
  detail::Classes classes = detail::classes_of(labels, label_rules(table, options));
  table.class_names = std::move(classes.names);
  table.labels = std::move(classes.labels);
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (table.columns[c].kind == ColumnKind::numeric) table.columns[c].kind = kind_of(table, c);
  table.sha256 = table_sha256(table, bytes);
  return table;
}

Table read_test_csv(std::string_view bytes, const fs::path& file, const CsvOptions& options, const Table& training) {
  detail::LabelTexts labels;
  Table table = read_cells(bytes, file, options, labels, [&](const auto& names, std::int64_t line, const auto& with) {
    return match_header(names, line, file, with, training);
  });
  table.class_names = training.class_names;
  table.labels = detail::labels_among(labels, table.class_names, label_rules(table, options), "the training part");
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (table.columns[c].kind == ColumnKind::categorical) continue;
    for (std::int64_t row = 0; row < table.size(); ++row)
      if (const std::string_view cell = table.cell(row, c); !is_missing(cell) && !number_in(cell))
        throw Error(
            ErrorKind::data,
            fmt::format("{}, but the column is numeric in the training part '{}'; correct it, leave it empty if "
                        "it is missing, or add &categorical={}",
                        detail::cell_text(table, row, c), training.file.string(),
                        detail::advised(table.columns[c].name)));
  }
  table.sha256 = table_sha256(table, bytes);
  return table;
}

Table read_unlabelled_csv(std::string_view bytes, const fs::path& file, char delimiter, const TableEncoding& encoding) {
  detail::LabelTexts labels;
  Table table = read_cells(
      bytes, file, {.delimiter = delimiter}, labels,
      [&](const auto& names, std::int64_t line, const auto&) { return trained_header(names, line, file, encoding); });
  table.class_names = encoding.class_names;
  table.labels.assign(labels.of.size(), 0);
  return table;
}

}  // namespace ulmus
