#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "data/cells.hpp"
#include "data/columns.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

using detail::is_missing;

/// The median; of an even number the mean of the middle two. `values` must not be empty and is reordered.
double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return std::midpoint(*std::max_element(values.begin(), middle), *middle);
}

struct Standardisation {
  double median = 0, mean = 0, stddev = 0;
};

/// Standardisation from the present values of `rows` cells, `rows` >= values.size(). Throws if they are too large.
Standardisation standardisation_of(std::vector<double> values, std::size_t rows, const Table& table,
                                   const std::string& column) {
  if (values.empty()) return {};
  Standardisation learnt;
  const auto count = static_cast<double>(rows);
  const auto stand_ins = static_cast<double>(rows - values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  learnt.median = median_of(values);
  learnt.mean = (sum + stand_ins * learnt.median) / count;
  double squares = stand_ins * (learnt.median - learnt.mean) * (learnt.median - learnt.mean);
  for (const double value : values) squares += (value - learnt.mean) * (value - learnt.mean);
  if (!std::isfinite(squares))
    throw Error(
        ErrorKind::data,
        fmt::format("column '{}' of '{}' has values up to {}, too large to standardise; change its unit, or add "
                    "&drop={}",
                    printable(column), table.file.string(),
                    std::ranges::max(values, {}, [](double value) { return std::fabs(value); }),
                    detail::advised(column)));
  const auto [smallest, largest] = std::ranges::minmax(values);
  if (smallest != largest) learnt.stddev = std::sqrt(squares / count);
  return learnt;
}

void learn_numeric(const Table& table, std::size_t column, std::span<const std::int64_t> rows,
                   ColumnEncoding& encoding) {
  if (encoding.raw) return;
  std::vector<double> values;
  for (const std::int64_t row : rows)
    if (const auto number = detail::number_at(table, row, column, encoding.number)) values.push_back(*number);
  encoding.missing = values.size() < rows.size();
  const Standardisation learnt = standardisation_of(std::move(values), rows.size(), table, encoding.name);
  encoding.median = learnt.median;
  encoding.mean = learnt.mean;
  encoding.stddev = learnt.stddev;
}

/// Parses a cell of a date column; nothing if it is missing.
std::optional<detail::Moment> moment_at(const Table& table, std::int64_t row, std::size_t column, DateOrder order) {
  const std::string_view cell = table.cell(row, column);
  if (is_missing(cell)) return std::nullopt;
  const auto moment = detail::moment_in(cell, order);
  if (!moment)
    throw Error(ErrorKind::data, fmt::format("{}, but the column was dates written {} in training; correct it, or "
                                             "leave it empty if it is missing",
                                             detail::cell_text(table, row, column), detail::order_text(order)));
  return moment;
}

/// The value of a part of a moment; for cyclic parts the position in the cycle, from 0 to 1.
double value_of(const detail::Moment& moment, DatePart part) {
  switch (part) {
    case DatePart::time:
      return moment.days;
    case DatePart::year:
      return moment.year;
    case DatePart::month:
      return (moment.month - 1) / 12.0;
    case DatePart::weekday:
      return moment.weekday / 7.0;
    case DatePart::clock:
      break;
  }
  return moment.seconds / 86400;
}

/// The same as a number that can be read: month 1 to 12, weekday 0 to 6, hour 0 to 24.
double raw_value_of(const detail::Moment& moment, DatePart part) {
  const double value = value_of(moment, part);
  if (part == DatePart::month) return 12 * value + 1;
  if (part == DatePart::weekday) return 7 * value;
  return part == DatePart::clock ? 24 * value : value;
}

void learn_dates(const Table& table, std::size_t column, std::span<const std::int64_t> rows, ColumnEncoding& encoding) {
  std::vector<detail::Moment> moments;
  for (const std::int64_t row : rows)
    if (const auto moment = moment_at(table, row, column, encoding.order)) moments.push_back(*moment);
  encoding.missing = !encoding.raw && moments.size() < rows.size();
  for (const DatePart part : {DatePart::time, DatePart::year, DatePart::month, DatePart::weekday, DatePart::clock}) {
    std::vector<double> values;
    for (const detail::Moment& moment : moments) values.push_back(value_of(moment, part));
    const bool varies = std::ranges::adjacent_find(values, std::not_equal_to<>()) != values.end();
    if (part != DatePart::time && !varies) continue;
    DatePartEncoding learnt{.part = part};
    if (learnt.features() == 1 && !encoding.raw) {
      const Standardisation of_part = standardisation_of(std::move(values), rows.size(), table, encoding.name);
      learnt.median = of_part.median;
      learnt.mean = of_part.mean;
      learnt.stddev = of_part.stddev;
    }
    encoding.parts.push_back(learnt);
  }
}

void learn_categorical(const Table& table, std::size_t column, std::span<const std::int64_t> rows,
                       ColumnEncoding& encoding) {
  const std::map<std::string, std::int64_t> counts = detail::level_counts(table, column, rows);
  encoding.missing =
      !encoding.raw && std::ranges::any_of(rows, [&](std::int64_t row) { return is_missing(table.cell(row, column)); });
  const std::size_t most = encoding.raw ? k_max_raw_levels : k_max_levels;
  std::vector<std::pair<std::int64_t, std::string_view>> frequent;  // by descending count, then by name
  for (const auto& [level, count] : counts) frequent.emplace_back(-count, level);
  std::ranges::sort(frequent);
  for (const auto& [count, level] : frequent) {
    const bool own = -count >= k_min_level_rows && encoding.levels.size() < most;
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

/// Writes the features of one column to a row of the data set, which must be zero before.
class ColumnWriter {
 public:
  ColumnWriter(const ColumnEncoding& encoding, std::size_t first)
      : encoding_(encoding), first_(first), places_(known_levels(encoding)) {}

  void write(const Table& table, std::int64_t row, std::size_t column, std::span<float> out) const {
    if (encoding_.raw) return write_raw(table, row, column, out);
    const std::size_t last = first_ + static_cast<std::size_t>(encoding_.features()) - 1;
    if (encoding_.missing && is_missing(table.cell(row, column))) out[last] = 1;
    if (encoding_.kind == ColumnKind::numeric) {
      const double number = detail::number_at(table, row, column, encoding_.number).value_or(encoding_.median);
      if (encoding_.stddev == 0) return;
      out[first_] = static_cast<float>((number - encoding_.mean) / encoding_.stddev);
      if (!std::isfinite(out[first_]))
        throw Error(ErrorKind::data,
                    fmt::format("{}, too far from the training rows' mean {} to be standardised; correct it",
                                detail::cell_text(table, row, column), encoding_.mean));
    } else if (encoding_.kind == ColumnKind::date) {
      write_date(moment_at(table, row, column, encoding_.order), out);
    } else if (const std::string_view cell = table.cell(row, column); !is_missing(cell)) {
      if (const auto place = places_.find(cell))
        out[first_ + std::min(static_cast<std::size_t>(*place), encoding_.levels.size())] = 1;
    }
  }

 private:
  static std::vector<std::string> known_levels(const ColumnEncoding& encoding) {
    std::vector<std::string> levels = encoding.levels;
    levels.insert(levels.end(), encoding.other.begin(), encoding.other.end());
    return levels;
  }

  void write_raw(const Table& table, std::int64_t row, std::size_t column, std::span<float> out) const {
    constexpr float k_missing = std::numeric_limits<float>::quiet_NaN();
    if (encoding_.kind == ColumnKind::numeric) {
      const auto number = detail::number_at(table, row, column, encoding_.number);
      out[first_] = number ? static_cast<float>(*number) : k_missing;
      if (std::isinf(out[first_]))
        throw Error(ErrorKind::data, fmt::format("{}, too large for a number of 32 bits; change its unit",
                                                 detail::cell_text(table, row, column)));
    } else if (encoding_.kind == ColumnKind::date) {
      const auto moment = moment_at(table, row, column, encoding_.order);
      for (std::size_t i = 0; i < encoding_.parts.size(); ++i)
        out[first_ + i] = moment ? static_cast<float>(raw_value_of(*moment, encoding_.parts[i].part)) : k_missing;
    } else {
      const std::string_view cell = table.cell(row, column);
      const auto place = is_missing(cell) ? std::nullopt : places_.find(cell);
      out[first_] =
          place ? static_cast<float>(std::min(static_cast<std::size_t>(*place), encoding_.levels.size())) : k_missing;
    }
  }

  void write_date(const std::optional<detail::Moment>& moment, std::span<float> out) const {
    std::size_t at = first_;
    for (const DatePartEncoding& part : encoding_.parts) {
      if (part.features() == 1) {
        const double value = moment ? value_of(*moment, part.part) : part.median;
        if (part.stddev > 0) out[at] = static_cast<float>((value - part.mean) / part.stddev);
      } else if (moment) {
        const double angle = 2 * std::numbers::pi * value_of(*moment, part.part);
        out[at] = static_cast<float>(std::sin(angle));
        out[at + 1] = static_cast<float>(std::cos(angle));
      }
      at += static_cast<std::size_t>(part.features());
    }
  }

  const ColumnEncoding& encoding_;
  std::size_t first_;
  NameIndex places_;  ///< levels with their own feature, then those that share one
};

/// For each column of the encoding, its index in the table.
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
    if (places.contains(column.name) && column.left_out.empty() &&
        std::ranges::find(encoding.left_out, column.name) == encoding.left_out.end())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has the column '{}', which was not trained on; remove it or add &drop={}",
                              table.file.string(), printable(column.name), detail::advised(column.name)));
  return matched;
}

std::vector<std::int64_t> match_labels(const Table& table, const std::vector<std::string>& class_names) {
  const NameIndex places(class_names);
  std::vector<std::int64_t> numbers;
  for (const std::string& name : table.class_names) numbers.push_back(places.find(name).value_or(-1));
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

/// Feature vectors in memory, in row order.
class EncodedRows : public FeatureSource {
 public:
  EncodedRows(std::vector<float> values, std::vector<std::int64_t> lines)
      : values_(std::move(values)), lines_(std::move(lines)) {}

  void read(std::int64_t index, std::span<float> out) const override {
    std::copy_n(values_.data() + static_cast<std::size_t>(index) * out.size(), out.size(), out.data());
  }
  std::optional<std::int64_t> line(std::int64_t index) const override {
    return lines_[static_cast<std::size_t>(index)];
  }

 private:
  std::vector<float> values_;
  std::vector<std::int64_t> lines_;
};

}  // namespace

std::int64_t ColumnEncoding::features() const {
  if (raw) return kind == ColumnKind::date ? std::ssize(parts) : 1;
  std::int64_t values = 0;
  if (kind == ColumnKind::numeric) values = 1;
  if (kind == ColumnKind::categorical) values = std::ssize(levels) + (other.empty() ? 0 : 1);
  for (const DatePartEncoding& part : parts) values += part.features();
  return values + (missing ? 1 : 0);
}

std::int64_t ColumnEncoding::codes() const {
  return raw && kind == ColumnKind::categorical ? std::ssize(levels) + (other.empty() ? 0 : 1) : 0;
}

std::vector<std::int64_t> TableEncoding::feature_codes() const {
  std::vector<std::int64_t> codes;
  for (const ColumnEncoding& column : columns) codes.insert(codes.end(), column.features(), column.codes());
  return codes;
}

std::int64_t TableEncoding::features() const {
  std::int64_t features = 0;
  for (const ColumnEncoding& column : columns) features += column.features();
  return features;
}

std::vector<std::string> TableEncoding::feature_names() const {
  std::vector<std::string> names;
  for (const ColumnEncoding& column : columns) {
    if (column.kind == ColumnKind::numeric || (column.raw && column.kind == ColumnKind::categorical)) {
      names.push_back(column.name);
      if (column.raw) continue;
    }
    for (const DatePartEncoding& part : column.parts) {
      const std::string name =
          part.part == DatePart::time
              ? column.name
              : fmt::format("{} ({})", column.name, detail::k_date_part_names[static_cast<std::size_t>(part.part)]);
      if (part.features() == 1 || column.raw) {
        names.push_back(name);
      } else {
        names.push_back(name + " (sine)");
        names.push_back(name + " (cosine)");
      }
    }
    for (const std::string& level : column.levels) names.push_back(fmt::format("{}={}", column.name, level));
    if (!column.other.empty()) names.push_back(column.name + " (other)");
    if (column.missing) names.push_back(column.name + " (missing)");
  }
  return names;
}

TableEncoding learn_encoding(const Table& table, std::span<const std::int64_t> train_indices, EncodingStyle style) {
  if (train_indices.empty()) throw Error(ErrorKind::usage, "a table's encoding needs at least one training row");
  for (const std::int64_t row : train_indices)
    if (row < 0 || row >= table.size())
      throw Error(ErrorKind::usage, fmt::format("row {} is asked for, but '{}' has {} rows; make the split again from "
                                                "this table",
                                                row, table.file.string(), table.size()));
  TableEncoding encoding{.class_names = table.class_names};
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const TableColumn& of_table = table.columns[c];
    if (!of_table.left_out.empty()) {
      encoding.left_out.push_back(of_table.name);
      continue;
    }
    ColumnEncoding column{.name = of_table.name, .kind = of_table.kind, .raw = style == EncodingStyle::raw};
    switch (column.kind) {
      case ColumnKind::numeric:
        column.number = of_table.number;
        learn_numeric(table, c, train_indices, column);
        break;
      case ColumnKind::categorical:
        learn_categorical(table, c, train_indices, column);
        break;
      case ColumnKind::date:
        column.order = of_table.order;
        learn_dates(table, c, train_indices, column);
        break;
    }
    encoding.columns.push_back(std::move(column));
  }
  return encoding;
}

Dataset encode(const Table& table, const TableEncoding& encoding) {
  const std::vector<std::size_t> places = match_columns(table, encoding);
  const auto width = static_cast<std::size_t>(encoding.features());
  std::vector<float> values(static_cast<std::size_t>(table.size()) * width);
  std::size_t first = 0;
  for (std::size_t c = 0; c < places.size(); ++c) {
    const ColumnWriter writer(encoding.columns[c], first);
    for (std::int64_t row = 0; row < table.size(); ++row)
      writer.write(table, row, places[c], std::span(values).subspan(static_cast<std::size_t>(row) * width, width));
    first += static_cast<std::size_t>(encoding.columns[c].features());
  }
  return Dataset({.name = table.name,
                  .class_names = encoding.class_names,
                  .shape = {.channels = encoding.features(), .height = 1, .width = 1},
                  .labels = match_labels(table, encoding.class_names),
                  .sha256 = table.sha256,
                  .notes = table.notes},
                 std::make_shared<const EncodedRows>(std::move(values), table.lines));
}

TableEncoding encode_tables(OpenedData& data, std::span<const std::int64_t> train_indices, EncodingStyle style) {
  if (!data.train_table)
    throw Error(ErrorKind::usage,
                fmt::format("'{}' holds no table to encode; only csv:FILE does, and only once", data.train.name()));
  TableEncoding encoding = learn_encoding(*data.train_table, train_indices, style);
  encode_tables(data, encoding);
  return encoding;
}

void encode_tables(OpenedData& data, const TableEncoding& encoding) {
  if (!data.train_table)
    throw Error(ErrorKind::usage,
                fmt::format("'{}' holds no table to encode; only csv:FILE does, and only once", data.train.name()));
  Dataset train = encode(*data.train_table, encoding);
  if (data.test_table) data.test = encode(*data.test_table, encoding);
  data.train = std::move(train);
  data.train_table = nullptr;
  data.test_table = nullptr;
}

}  // namespace ulmus
