#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "data/columns.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

using detail::k_date_part_names;

constexpr int k_raw_schema_version = 3;  // of encodings for trees
constexpr int k_schema_version = 2;
constexpr int k_plain_schema_version = 1;  // for encodings without dates, number formats and left-out columns

constexpr std::array<std::string_view, 4> k_order_names{"ymd", "dmy", "mdy", "clock"};

template <class Value, std::size_t count>
std::string name_in(const std::array<std::string_view, count>& names, Value value) {
  return std::string(names[static_cast<std::size_t>(value)]);
}

/// An unknown name becomes the first value, so that re-serialising the encoding reveals the difference.
template <class Value, std::size_t count>
Value named_in(const std::array<std::string_view, count>& names, const std::string& name) {
  const auto found = std::ranges::find(names, name);
  return found == names.end() ? Value{} : static_cast<Value>(found - names.begin());
}

Json json_of(const ColumnEncoding& column) {
  Json entry{{"name", column.name}, {"missing", column.missing}};
  switch (column.kind) {
    case ColumnKind::numeric:
      entry["kind"] = "numeric";
      if (!column.raw) entry.update({{"median", column.median}, {"mean", column.mean}, {"stddev", column.stddev}});
      if (const NumberFormat& format = column.number; !format.plain())
        entry["format"] = {{"decimal", std::string(1, format.decimal)},
                           {"grouped", format.grouped},
                           {"prefix", format.prefix},
                           {"suffix", format.suffix}};
      break;
    case ColumnKind::categorical:
      entry.update({{"kind", "categorical"}, {"levels", column.levels}, {"other", column.other}});
      break;
    case ColumnKind::date: {
      Json parts = Json::array();
      for (const DatePartEncoding& part : column.parts) {
        Json made{{"part", name_in(k_date_part_names, part.part)}};
        if (part.features() == 1 && !column.raw)
          made.update({{"median", part.median}, {"mean", part.mean}, {"stddev", part.stddev}});
        parts.push_back(std::move(made));
      }
      entry.update({{"kind", "date"}, {"order", name_in(k_order_names, column.order)}, {"parts", parts}});
      break;
    }
  }
  if (column.raw) entry["raw"] = true;
  return entry;
}

Json json_of(const TableEncoding& encoding) {
  Json columns = Json::array();
  for (const ColumnEncoding& column : encoding.columns) columns.push_back(json_of(column));
  const bool plain = encoding.left_out.empty() && std::ranges::all_of(encoding.columns, [](const auto& column) {
                       return column.kind != ColumnKind::date && column.number.plain();
                     });
  const bool raw = std::ranges::any_of(encoding.columns, &ColumnEncoding::raw);
  Json json{{"schema_version", raw     ? k_raw_schema_version
                               : plain ? k_plain_schema_version
                                       : k_schema_version},
            {"class_names", encoding.class_names},
            {"columns", columns}};
  if (!plain) json["left_out"] = encoding.left_out;
  return json;
}

NumberFormat format_of(const Json& json) {
  const std::string decimal = json.at("decimal");
  return {.decimal = decimal == "," ? ',' : '.',
          .grouped = json.at("grouped"),
          .prefix = json.at("prefix"),
          .suffix = json.at("suffix")};
}

ColumnEncoding column_of(const Json& json) {
  ColumnEncoding column{.name = json.at("name"), .missing = json.at("missing"), .raw = json.value("raw", false)};
  if (json.at("kind") == "numeric") {
    if (!column.raw) {
      column.median = json.at("median");
      column.mean = json.at("mean");
      column.stddev = json.at("stddev");
    }
    if (json.contains("format")) column.number = format_of(json["format"]);
  } else if (json.at("kind") == "date") {
    column.kind = ColumnKind::date;
    column.order = named_in<DateOrder>(k_order_names, json.at("order"));
    for (const Json& part : json.at("parts")) {
      DatePartEncoding made{.part = named_in<DatePart>(k_date_part_names, part.at("part"))};
      if (made.features() == 1 && !column.raw) {
        made.median = part.at("median");
        made.mean = part.at("mean");
        made.stddev = part.at("stddev");
      }
      column.parts.push_back(made);
    }
  } else {
    column.kind = ColumnKind::categorical;
    column.levels = json.at("levels").get<std::vector<std::string>>();
    column.other = json.at("other").get<std::vector<std::string>>();
  }
  return column;
}

[[noreturn]] void throw_damaged(const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("table encoding is damaged: {}; restore the file that holds it", what));
}

bool has_repeats(std::vector<std::string> names) {
  std::ranges::sort(names);
  return std::ranges::adjacent_find(names) != names.end();
}

/// Checks the invariants of learn_encoding for an encoding that was read.
void check(const TableEncoding& encoding) {
  if (encoding.class_names.size() < 2 || has_repeats(encoding.class_names))
    throw_damaged("expected two or more different class names");
  std::vector<std::string> names;
  for (const ColumnEncoding& column : encoding.columns) {
    names.push_back(column.name);
    if (column.raw && column.missing)
      throw_damaged(fmt::format("column '{}' is raw and has a feature for missing cells", printable(column.name)));
    std::vector<std::string> levels = column.levels;
    levels.insert(levels.end(), column.other.begin(), column.other.end());
    if (has_repeats(std::move(levels)) || column.features() < 1)
      throw_damaged(fmt::format("column '{}' has no level or one twice", printable(column.name)));
    std::vector<std::string> parts;
    for (const DatePartEncoding& part : column.parts) {
      parts.push_back(name_in(k_date_part_names, part.part));
      if (part.stddev < 0) throw_damaged(fmt::format("column '{}' has a negative stddev", printable(column.name)));
    }
    if (has_repeats(std::move(parts)))
      throw_damaged(fmt::format("column '{}' has a part of its dates twice", printable(column.name)));
    if (column.stddev < 0) throw_damaged(fmt::format("column '{}' has a negative stddev", printable(column.name)));
  }
  if (names.empty()) throw_damaged("it has no column");
  names.insert(names.end(), encoding.left_out.begin(), encoding.left_out.end());
  if (has_repeats(std::move(names))) throw_damaged("expected one or more columns of different names");
}

}  // namespace

std::string to_json(const TableEncoding& encoding) { return json_of(encoding).dump(); }

TableEncoding encoding_from_json(std::string_view text) {
  const Json json = [&]() -> Json {
    try {
      return parse_json(text);
    } catch (const Json::exception& error) {
      throw_damaged(error.what());
    }
  }();
  if (!json.is_object() || !json.contains("schema_version")) throw_damaged("it is not the JSON of an encoding");
  if (const Json& version = json["schema_version"];
      version != k_raw_schema_version && version != k_schema_version && version != k_plain_schema_version)
    throw Error(ErrorKind::data,
                fmt::format("table encoding has schema version {}, this program reads 1 to {}; use the program that "
                            "wrote it",
                            printable(version.dump()), k_raw_schema_version));
  try {
    TableEncoding encoding{.class_names = json.at("class_names").get<std::vector<std::string>>()};
    for (const Json& column : json.at("columns")) encoding.columns.push_back(column_of(column));
    if (json.contains("left_out")) encoding.left_out = json["left_out"].get<std::vector<std::string>>();
    if (json_of(encoding) != json) throw_damaged("it has other keys or values than an encoding");
    check(encoding);
    return encoding;
  } catch (const Json::exception& error) {
    throw_damaged(error.what());
  }
}

}  // namespace ulmus
