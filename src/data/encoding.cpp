#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "data/cells.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

using detail::is_missing;
using detail::number_in;

constexpr int k_schema_version = 1;

/// Of a cell of a numeric column; nothing when it is missing.
std::optional<double> number_at(const Table& table, std::int64_t row, std::size_t column) {
  const std::string_view cell = table.cell(row, column);
  if (is_missing(cell)) return std::nullopt;
  const auto number = number_in(cell);
  if (!number)
    throw Error(
        ErrorKind::data,
        fmt::format("{}, but the column was numeric in training; correct it, or leave it empty if it is missing",
                    detail::cell_text(table, row, column)));
  return number;
}

/// The middle one, or the mean of the two middle ones. `values` is not empty; its order is lost.
double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return std::midpoint(*std::max_element(values.begin(), middle), *middle);
}

void learn_numeric(const Table& table, std::size_t column, std::span<const std::int64_t> rows,
                   ColumnEncoding& encoding) {
  std::vector<double> values;
  for (const std::int64_t row : rows)
    if (const auto number = number_at(table, row, column)) values.push_back(*number);
  encoding.missing = values.size() < rows.size();
  if (values.empty()) return;

  const auto count = static_cast<double>(rows.size());
  const auto stand_ins = static_cast<double>(rows.size() - values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  encoding.median = median_of(values);
  encoding.mean = (sum + stand_ins * encoding.median) / count;
  double squares = stand_ins * (encoding.median - encoding.mean) * (encoding.median - encoding.mean);
  for (const double value : values) squares += (value - encoding.mean) * (value - encoding.mean);
  if (!std::isfinite(squares))
    throw Error(
        ErrorKind::data,
        fmt::format("column '{}' of '{}' has values up to {}, too large to standardise; change its unit, or add "
                    "&drop={}",
                    printable(encoding.name), table.file.string(),
                    std::ranges::max(values, {}, [](double value) { return std::fabs(value); }),
                    detail::advised(encoding.name)));
  const auto [smallest, largest] = std::ranges::minmax(values);
  if (smallest != largest) encoding.stddev = std::sqrt(squares / count);
}

void learn_categorical(const Table& table, std::size_t column, std::span<const std::int64_t> rows,
                       ColumnEncoding& encoding) {
  std::unordered_map<std::string_view, std::int64_t> counts;
  for (const std::int64_t row : rows) {
    const std::string_view cell = table.cell(row, column);
    is_missing(cell) ? static_cast<void>(encoding.missing = true) : static_cast<void>(++counts[cell]);
  }
  std::vector<std::pair<std::int64_t, std::string_view>> frequent;  // by falling count, then by name
  for (const auto& [level, count] : counts) frequent.emplace_back(-count, level);
  std::ranges::sort(frequent);
  for (const auto& [count, level] : frequent) {
    const bool own = -count >= k_min_level_rows && encoding.levels.size() < k_max_levels;
    (own ? encoding.levels : encoding.other).emplace_back(level);
  }
  std::ranges::sort(encoding.levels);
  std::ranges::sort(encoding.other);
  if (encoding.levels.empty() && !encoding.other.empty())
    throw Error(
        ErrorKind::data,
        fmt::format("column '{}' of '{}' has {} different values in {} training rows, each once, so nothing can "
                    "be learnt from it; add &drop={}",
                    printable(encoding.name), table.file.string(), encoding.other.size(), rows.size(),
                    detail::advised(encoding.name)));
}

/// Writes the features of one column to a row of the data set; zeros are there already.
class ColumnWriter {
 public:
  ColumnWriter(const ColumnEncoding& encoding, std::size_t first) : encoding_(encoding), first_(first) {
    for (std::size_t i = 0; i < encoding.levels.size(); ++i) places_.emplace(encoding.levels[i], i);
    for (const std::string& level : encoding.other) places_.emplace(level, encoding.levels.size());
  }

  void write(const Table& table, std::int64_t row, std::size_t column, std::span<float> out) const {
    const std::size_t last = first_ + static_cast<std::size_t>(encoding_.features()) - 1;
    if (encoding_.missing && is_missing(table.cell(row, column))) out[last] = 1;
    if (encoding_.kind == ColumnKind::numeric) {
      const double number = number_at(table, row, column).value_or(encoding_.median);
      if (encoding_.stddev == 0) return;
      out[first_] = static_cast<float>((number - encoding_.mean) / encoding_.stddev);
      if (!std::isfinite(out[first_]))
        throw Error(ErrorKind::data,
                    fmt::format("{}, too far from the training rows' mean {} to be standardised; correct it",
                                detail::cell_text(table, row, column), encoding_.mean));
    } else if (const std::string_view cell = table.cell(row, column); !is_missing(cell)) {
      if (const auto place = places_.find(cell); place != places_.end()) out[first_ + place->second] = 1;
    }
  }

 private:
  const ColumnEncoding& encoding_;
  std::size_t first_;
  std::unordered_map<std::string_view, std::size_t> places_;  ///< of the known levels, after `first_`
};

/// For each column of the encoding, its place in the table.
std::vector<std::size_t> match_columns(const Table& table, const TableEncoding& encoding) {
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < table.columns.size(); ++i) places.emplace(table.columns[i].name, i);
  std::vector<std::size_t> matched;
  for (const ColumnEncoding& column : encoding.columns) {
    const auto found = places.find(column.name);
    if (found == places.end())
      throw Error(ErrorKind::data, fmt::format("'{}' has no column '{}', which was trained on; add it",
                                               table.file.string(), printable(column.name)));
    matched.push_back(found->second);
    places.erase(found);
  }
  for (const TableColumn& column : table.columns)
    if (places.contains(column.name))
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has the column '{}', which was not trained on; remove it or add &drop={}",
                              table.file.string(), printable(column.name), detail::advised(column.name)));
  return matched;
}

std::vector<std::int64_t> match_labels(const Table& table, const std::vector<std::string>& class_names) {
  std::unordered_map<std::string_view, std::int64_t> places;
  for (const std::string& name : class_names) places.emplace(name, std::ssize(places));
  std::vector<std::int64_t> numbers;
  for (const std::string& name : table.class_names) {
    const auto place = places.find(name);
    numbers.push_back(place == places.end() ? -1 : place->second);
  }
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    const auto c = static_cast<std::size_t>(table.labels[i]);
    if (numbers[c] < 0)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' line {} has the class '{}', which was not trained on; remove the row",
                              table.file.string(), table.lines[i], printable(table.class_names[c])));
    labels.push_back(numbers[c]);
  }
  return labels;
}

Json json_of(const TableEncoding& encoding) {
  Json columns = Json::array();
  for (const ColumnEncoding& column : encoding.columns) {
    Json entry{{"name", column.name}, {"missing", column.missing}};
    if (column.kind == ColumnKind::numeric)
      entry.update({{"kind", "numeric"}, {"median", column.median}, {"mean", column.mean}, {"stddev", column.stddev}});
    else
      entry.update({{"kind", "categorical"}, {"levels", column.levels}, {"other", column.other}});
    columns.push_back(std::move(entry));
  }
  return {{"schema_version", k_schema_version}, {"class_names", encoding.class_names}, {"columns", columns}};
}

ColumnEncoding column_of(const Json& json) {
  ColumnEncoding column{.name = json.at("name"), .missing = json.at("missing")};
  if (json.at("kind") == "numeric") {
    column.median = json.at("median");
    column.mean = json.at("mean");
    column.stddev = json.at("stddev");
  } else {
    column.kind = ColumnKind::categorical;
    column.levels = json.at("levels").get<std::vector<std::string>>();
    column.other = json.at("other").get<std::vector<std::string>>();
  }
  return column;
}

[[noreturn]] void damaged(const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("table encoding is damaged: {}; restore the file that holds it", what));
}

bool has_repeats(std::vector<std::string> names) {
  std::ranges::sort(names);
  return std::ranges::adjacent_find(names) != names.end();
}

/// What learn_encoding makes holds for what is read back, too.
void check(const TableEncoding& encoding) {
  if (encoding.class_names.size() < 2 || has_repeats(encoding.class_names))
    damaged("expected two or more different class names");
  std::vector<std::string> names;
  for (const ColumnEncoding& column : encoding.columns) {
    names.push_back(column.name);
    std::vector<std::string> levels = column.levels;
    levels.insert(levels.end(), column.other.begin(), column.other.end());
    if (has_repeats(std::move(levels)) || column.features() < 1)
      damaged(fmt::format("column '{}' has no level or one twice", printable(column.name)));
    if (column.stddev < 0) damaged(fmt::format("column '{}' has a negative stddev", printable(column.name)));
  }
  if (names.empty() || has_repeats(std::move(names))) damaged("expected one or more columns of different names");
}

}  // namespace

std::int64_t ColumnEncoding::features() const {
  const std::int64_t values =
      kind == ColumnKind::numeric ? 1 : static_cast<std::int64_t>(levels.size()) + (other.empty() ? 0 : 1);
  return values + (missing ? 1 : 0);
}

std::int64_t TableEncoding::features() const {
  std::int64_t features = 0;
  for (const ColumnEncoding& column : columns) features += column.features();
  return features;
}

std::vector<std::string> TableEncoding::feature_names() const {
  std::vector<std::string> names;
  for (const ColumnEncoding& column : columns) {
    if (column.kind == ColumnKind::numeric) names.push_back(column.name);
    for (const std::string& level : column.levels) names.push_back(fmt::format("{}={}", column.name, level));
    if (!column.other.empty()) names.push_back(column.name + " (other)");
    if (column.missing) names.push_back(column.name + " (missing)");
  }
  return names;
}

TableEncoding learn_encoding(const Table& table, std::span<const std::int64_t> train_indices) {
  if (train_indices.empty()) throw Error(ErrorKind::usage, "a table's encoding needs at least one training row");
  for (const std::int64_t row : train_indices)
    if (row < 0 || row >= table.size())
      throw Error(ErrorKind::usage, fmt::format("row {} is asked for, but '{}' has {} rows; make the split again from "
                                                "this table",
                                                row, table.file.string(), table.size()));
  TableEncoding encoding{.class_names = table.class_names};
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    ColumnEncoding column{.name = table.columns[c].name, .kind = table.columns[c].kind};
    column.kind == ColumnKind::numeric ? learn_numeric(table, c, train_indices, column)
                                       : learn_categorical(table, c, train_indices, column);
    encoding.columns.push_back(std::move(column));
  }
  return encoding;
}

Dataset encode(const Table& table, const TableEncoding& encoding) {
  const std::vector<std::size_t> places = match_columns(table, encoding);
  const auto width = static_cast<std::size_t>(encoding.features());
  auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(table.size()) * width);
  std::size_t first = 0;
  for (std::size_t c = 0; c < places.size(); ++c) {
    const ColumnWriter writer(encoding.columns[c], first);
    for (std::int64_t row = 0; row < table.size(); ++row)
      writer.write(table, row, places[c], std::span(*values).subspan(static_cast<std::size_t>(row) * width, width));
    first += static_cast<std::size_t>(encoding.columns[c].features());
  }
  Dataset data;
  data.name = table.name;
  data.class_names = encoding.class_names;
  data.shape = {.channels = encoding.features(), .height = 1, .width = 1};
  data.labels = match_labels(table, encoding.class_names);
  data.sha256 = table.sha256;
  data.read_features = [values = std::shared_ptr<const std::vector<float>>(std::move(values)), width](
                           std::int64_t index, std::span<float> out) {
    std::copy_n(values->data() + static_cast<std::size_t>(index) * width, width, out.data());
  };
  return data;
}

TableEncoding encode_tables(OpenedData& data, std::span<const std::int64_t> train_indices) {
  if (!data.train_table)
    throw Error(ErrorKind::usage,
                fmt::format("'{}' holds no table to encode; only csv:FILE does, and only once", data.train.name));
  TableEncoding encoding = learn_encoding(*data.train_table, train_indices);
  encode_tables(data, encoding);
  return encoding;
}

void encode_tables(OpenedData& data, const TableEncoding& encoding) {
  if (!data.train_table)
    throw Error(ErrorKind::usage,
                fmt::format("'{}' holds no table to encode; only csv:FILE does, and only once", data.train.name));
  Dataset train = encode(*data.train_table, encoding);
  if (data.test_table) data.test = encode(*data.test_table, encoding);
  data.train = std::move(train);
  data.train_table = nullptr;
  data.test_table = nullptr;
}

std::string to_json(const TableEncoding& encoding) { return json_of(encoding).dump(); }

TableEncoding encoding_from_json(std::string_view text) {
  const Json json = [&]() -> Json {
    try {
      return parse_json(text);
    } catch (const Json::exception& error) {
      damaged(error.what());
    }
  }();
  if (!json.is_object() || !json.contains("schema_version")) damaged("it is not the JSON of an encoding");
  if (json["schema_version"] != k_schema_version)
    throw Error(ErrorKind::data, fmt::format("table encoding has schema version {}, this program reads {}; use the "
                                             "program that wrote it",
                                             printable(json["schema_version"].dump()), k_schema_version));
  try {
    TableEncoding encoding{.class_names = json.at("class_names").get<std::vector<std::string>>()};
    for (const Json& column : json.at("columns")) encoding.columns.push_back(column_of(column));
    if (json_of(encoding) != json) damaged("it has other keys or values than an encoding");
    check(encoding);
    return encoding;
  } catch (const Json::exception& error) {
    damaged(error.what());
  }
}

}  // namespace ulmus
