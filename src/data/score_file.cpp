#include "ulmus/data/score_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "data/gzip.hpp"
#include "data/named_rows.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t k_no_column = std::numeric_limits<std::size_t>::max();

[[noreturn]] void throw_data_error(const fs::path& file, std::int64_t line, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' line {}{}", file.string(), line, what));
}

/// The NAME of a column `p(NAME)`, or nothing.
std::optional<std::string> probability_of(const std::string& column) {
  if (column.size() < 4 || !column.starts_with("p(") || !column.ends_with(')')) return std::nullopt;
  return column.substr(2, column.size() - 3);
}

/// Where the parts of a row are.
struct Layout {
  std::vector<std::size_t> scores;  ///< [C], position of each class's column
  std::vector<std::string> class_names;
  std::size_t label = k_no_column;
  std::vector<std::size_t> carried;
};

class HeaderReader {
 public:
  HeaderReader(const fs::path& file, const ScoreFileOptions& options)
      : file_(file), options_(options), classes_(options.classes) {}

  Layout read(std::span<const std::string> names, std::int64_t line) {
    names_.assign(names.begin(), names.end());
    line_ = line;
    reject_twins();
    std::vector<bool> taken(names.size(), false);
    for (const std::string& name : options_.carry) taken[layout_.carried.emplace_back(find(name, "carry"))] = true;
    if (!options_.label.empty() && !(options_.label_is_optional && !has(options_.label)))
      taken[layout_.label = find(options_.label, "label")] = true;
    take_classes(taken);
    if (layout_.class_names.size() < 2)
      throw_data_error(file_, line_,
                       fmt::format(" has scores of {} class(es), expected a column for each of at least two",
                                   layout_.class_names.size()));
    return std::move(layout_);
  }

 private:
  bool has(const std::string& name) const { return std::ranges::find(names_, name) != names_.end(); }

  std::size_t find(const std::string& name, std::string_view option) const {
    const auto found = std::ranges::find(names_, name);
    if (found != names_.end()) return static_cast<std::size_t>(found - names_.begin());
    const std::string near = nearest_name(name, names_);
    throw Error(ErrorKind::usage,
                fmt::format("'{}' has no column '{}' ({}){}", file_.string(), printable(name), option_name(option),
                            near.empty() ? "" : fmt::format("; did you mean '{}'?", printable(near))));
  }

  void reject_twins() const {
    std::vector<std::string> sorted = names_;
    std::erase(sorted, "");
    std::ranges::sort(sorted);
    if (const auto twin = std::ranges::adjacent_find(sorted); twin != sorted.end())
      throw_data_error(file_, line_, fmt::format(" has the column name '{}' twice; rename one", printable(*twin)));
  }

  void take_classes(const std::vector<bool>& taken) {
    const bool wrapped = std::ranges::any_of(names_, [](const auto& name) { return probability_of(name).has_value(); });
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (taken[i] || names_[i].empty()) continue;
      const std::optional<std::string> inner = probability_of(names_[i]);
      if (wrapped && !inner) continue;
      const std::string name = class_name(wrapped ? *inner : names_[i]);
      if (options_.ignore_others && !classes_.find(name)) continue;
      layout_.scores.push_back(i);
      layout_.class_names.push_back(name);
    }
    if (!options_.classes.empty()) match_classes();
  }

  /// Checks that the columns are the classes of the options, and puts them in their order.
  void match_classes() {
    std::vector<std::size_t> columns(options_.classes.size(), k_no_column);
    for (std::size_t k = 0; k < layout_.scores.size(); ++k) {
      const std::string& name = layout_.class_names[k];
      const auto place = classes_.find(name);
      if (!place)
        throw_data_error(
            file_, line_,
            fmt::format(" has the column '{}', which is no class of {}{}; leave it out, or carry it along "
                        "with {}",
                        printable(name), options_.classes_from, classes_.advice(name), option_name("carry", "COLUMN")));
      std::size_t& column = columns[static_cast<std::size_t>(*place)];
      if (column != k_no_column)
        throw_data_error(file_, line_, fmt::format(" has two columns for the class '{}'; remove one", printable(name)));
      column = layout_.scores[k];
    }
    if (const auto missing = std::ranges::find(columns, k_no_column); missing != columns.end())
      throw_data_error(file_, line_,
                       fmt::format(" has no column for the class '{}' of {}; add its scores",
                                   printable(options_.classes[static_cast<std::size_t>(missing - columns.begin())]),
                                   options_.classes_from));
    layout_.scores = std::move(columns);
    layout_.class_names = options_.classes;
  }

  const fs::path& file_;
  const ScoreFileOptions& options_;
  NameIndex classes_;
  std::vector<std::string> names_;
  std::int64_t line_ = 0;
  Layout layout_;
};

}  // namespace

std::string ScoreFile::place(std::int64_t row) const {
  return fmt::format("'{}' line {}", file.string(), lines[static_cast<std::size_t>(row)]);
}

ScoreFile parse_scores(std::string_view bytes, const fs::path& file, const ScoreFileOptions& options) {
  ScoreFile result{.file = file, .carried_names = options.carry};
  Layout layout;
  std::optional<NameIndex> index;
  detail::visit_named_rows(
      bytes, file,
      [&](std::span<const std::string> names, std::int64_t line) {
        layout = HeaderReader(file, options).read(names, line);
        index.emplace(layout.class_names);
      },
      [&](std::span<const std::string> fields, std::int64_t line) {
        for (std::size_t j = 0; j < layout.scores.size(); ++j)
          result.scores.push_back(detail::number_cell(fields[layout.scores[j]], file, line, layout.class_names[j]));
        for (const std::size_t i : layout.carried) result.carried.push_back(fields[i]);
        if (layout.label != k_no_column) {
          const std::string label = class_name(fields[layout.label]);
          const auto place = index->find(label);
          if (!place)
            throw_data_error(file, line,
                             fmt::format(": the label '{}' is no class{}", printable(label), index->advice(label)));
          result.labels.push_back(*place);
        }
        result.lines.push_back(line);
      });
  result.class_names = std::move(layout.class_names);
  return result;
}

ScoreFile read_scores(const fs::path& file, const ScoreFileOptions& options) {
  return parse_scores(detail::read_text_file(file), file, options);
}

std::vector<double> parse_class_matrix(std::string_view bytes, const fs::path& file,
                                       std::span<const std::string> class_names) {
  const NameIndex index(class_names);
  const std::size_t classes = class_names.size();
  const auto place_of = [&](const std::string& name, std::int64_t line, std::vector<bool>& seen) {
    const auto place = index.find(class_name(name));
    if (!place)
      throw_data_error(file, line,
                       fmt::format(" names '{}', which is no class{}", printable(name), index.advice(name)));
    const auto c = static_cast<std::size_t>(*place);
    if (seen[c]) throw_data_error(file, line, fmt::format(" names the class '{}' again; keep one", printable(name)));
    seen[c] = true;
    return c;
  };
  const auto require_all = [&](const std::vector<bool>& seen, std::string_view what) {
    if (const auto missing = std::ranges::find(seen, false); missing != seen.end())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has no {} for the class '{}', expected a square matrix with a row and a column for "
                              "each of {} classes",
                              file.string(), what,
                              printable(class_names[static_cast<std::size_t>(missing - seen.begin())]), classes));
  };
  std::vector<double> matrix(classes * classes);
  std::vector<bool> columns_seen(classes, false), rows_seen(classes, false);
  std::vector<std::size_t> columns;
  detail::visit_named_rows(
      bytes, file,
      [&](std::span<const std::string> names, std::int64_t line) {
        for (const std::string& name : names.subspan(1)) columns.push_back(place_of(name, line, columns_seen));
        require_all(columns_seen, "column");
      },
      [&](std::span<const std::string> fields, std::int64_t line) {
        const std::size_t row = place_of(fields[0], line, rows_seen);
        for (std::size_t k = 0; k < columns.size(); ++k)
          matrix[row * classes + columns[k]] = detail::number_cell(fields[k + 1], file, line, class_names[columns[k]]);
      });
  require_all(rows_seen, "row");
  return matrix;
}

std::vector<double> read_class_matrix(const fs::path& file, std::span<const std::string> class_names) {
  return parse_class_matrix(detail::read_text_file(file), file, class_names);
}

std::vector<std::int64_t> counts_in_class_order(const ClassValues& values, std::span<const std::string> class_names) {
  std::vector<std::int64_t> counts;
  for (const ClassValues::Line& line : in_class_order(values, class_names, std::ssize(class_names))) {
    const std::optional<std::string> number = number_name(line.value);
    try {
      counts.push_back(parse_integer(number.value_or(line.value), "a count"));
    } catch (const Error&) {
      counts.push_back(-1);
    }
    if (counts.back() < 0)
      throw_data_error(values.file, line.line,
                       fmt::format(" has '{}', expected a whole number of training samples", printable(line.value)));
  }
  return counts;
}

}  // namespace ulmus
