#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "phrases.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

struct Shown {
  std::string_view metric;
  std::string_view title;
};

/// In display order; a narrow terminal omits the last ones.
constexpr auto k_shown = std::to_array<Shown>({{"balanced_accuracy", "balanced"},
                                               {"top1", "top-1"},
                                               {"many_shot", "many"},
                                               {"medium_shot", "med"},
                                               {"few_shot", "few"},
                                               {"worst_class", "worst class"},
                                               {"macro_f1", "F1"},
                                               {"geometric_mean", "G-mean"},
                                               {"ece", "ECE"}});
constexpr std::size_t k_shortest_class = 8;
constexpr std::size_t k_shortest_loss = 28;

/// Number of code points, which equals the width of ordinary names on a terminal.
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string pad(std::string_view text, std::size_t width, bool left) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return left ? std::string(text) + space : space + std::string(text);
}

struct Column {
  std::string title;
  bool left = false;    ///< left-aligned
  bool absent = false;  ///< no loss has a value
  std::vector<std::string> cells;
  std::vector<bool> best;
  std::size_t width = 0;

  void add(std::string cell, bool is_the_best) {
    width = std::max(width, display_width(cell));
    cells.push_back(std::move(cell));
    best.push_back(is_the_best);
  }
};

Column metric_column(const Summary& summary, const Shown& shown, std::size_t name_width) {
  Column column{.title = std::string(shown.title),
                .left = shown.metric == "worst_class",
                .absent = true,
                .cells = {},
                .best = {},
                .width = shown.title.size()};
  for (std::size_t i = 0; i < summary.losses.size(); ++i) {
    const SetSummary& test = summary.losses[i].test;
    const MetricSummary& metric = test.at(shown.metric);
    std::string text = fmt::format("{:>4}", percent(metric.mean));
    if (shown.metric == "balanced_accuracy" && metric.interval)
      text += fmt::format(" ±{}", half_width(*metric.interval));
    if (shown.metric == "worst_class")
      text += fmt::format(" {}", shorten(printable(most_common_worst_class(test), k_long_text), name_width));
    column.absent = column.absent && !metric.mean;
    column.add(std::move(text), is_best(summary, metric_index(shown.metric), i));
  }
  return column;
}

std::vector<Column> all_columns(const Summary& summary, std::size_t loss_width, std::size_t class_width) {
  std::vector<Column> columns = {{.title = "loss", .left = true, .absent = false, .cells = {}, .best = {}, .width = 4}};
  for (const LossSummary& loss : summary.losses)
    columns[0].add(shorten(printable(loss.loss, k_long_text), loss_width), false);
  for (const Shown& shown : k_shown) columns.push_back(metric_column(summary, shown, class_width));
  return columns;
}

/// Two spaces between columns, the first of which may contain a mark; the last column may also be marked.
std::size_t table_width(const std::vector<Column>& columns) {
  std::size_t sum = 2 * columns.size() - 1;
  for (const Column& column : columns) sum += column.width;
  return sum;
}

/// Omits on a narrow terminal, in this order: columns without any value, the ends of class names and of losses, the
/// last columns.
std::vector<Column> fit_columns(const Summary& summary, std::size_t width) {
  std::size_t loss_width = k_shortest_loss, class_width = k_shortest_class;
  for (const LossSummary& loss : summary.losses) {
    loss_width = std::max(loss_width, display_width(printable(loss.loss, k_long_text)));
    class_width = std::max(class_width, display_width(printable(most_common_worst_class(loss.test), k_long_text)));
  }
  std::vector<Column> columns = all_columns(summary, loss_width, class_width);
  const auto too_wide = [&] { return table_width(columns) > width; };
  const auto drop_absent = [&] { std::erase_if(columns, [](const Column& column) { return column.absent; }); };
  if (too_wide()) drop_absent();
  while (too_wide() && (class_width > k_shortest_class || loss_width > k_shortest_loss)) {
    --(class_width > k_shortest_class ? class_width : loss_width);
    columns = all_columns(summary, loss_width, class_width);
    drop_absent();
  }
  while (too_wide() && columns.size() > 2) columns.pop_back();
  return columns;
}

/// Wraps text between words; every line ends with a newline.
std::string wrap(std::string_view text, std::size_t width) {
  std::string result;
  std::size_t used = 0;
  for (const std::string& word : split(text, ' ')) {
    if (used > 0 && used + 1 + display_width(word) > width) {
      result += '\n';
      used = 0;
    }
    if (used > 0) result += ' ';
    result += word;
    used += display_width(word) + (used > 0 ? 1 : 0);
  }
  return result + "\n";
}

}  // namespace

std::string terminal_table(const Summary& summary, const TableOptions& options) {
  const auto width = static_cast<std::size_t>(std::max(options.width, 20));
  const std::vector<Column> columns = fit_columns(summary, width);
  std::string text;
  const auto end_line = [&] { text.erase(text.find_last_not_of(' ') + 1) += '\n'; };
  for (const Column& column : columns) text += pad(column.title, column.width, column.left) + "  ";
  end_line();
  for (std::size_t i = 0; i < summary.losses.size(); ++i) {
    for (const Column& column : columns) {
      const std::string& cell = column.cells[i];
      const std::string space(column.width - display_width(cell), ' ');
      const bool bold = column.best[i] && options.colour, mark = column.best[i] && !options.colour;
      const std::string shown = bold ? fmt::format("\x1b[1m{}\x1b[0m", cell) : cell;
      text += fmt::format("{}{}{}{} ", column.left ? "" : space, shown, mark ? "*" : "", column.left ? space : "");
      if (!mark) text += ' ';
    }
    end_line();
  }
  std::string caption = fmt::format("Percent of the test set (n = {}), {}. {}.", summary.losses.front().test.samples,
                                    seeds_phrase(summary), selection_phrase(summary));
  if (summary.losses.size() > 1) caption += options.colour ? " Best in bold." : " * best.";
  if (columns.size() <= k_shown.size()) caption += " More columns in a wider terminal and in summary.json.";
  if (!summary.unfinished.empty())
    caption += fmt::format(" Not finished: {}.", printable(join(summary.unfinished, "; "), k_long_text));
  return text + wrap(caption, width);
}

std::string markdown_table(const Summary& summary) {
  constexpr std::pair<std::string_view, std::string_view> k_columns[] = {{"balanced_accuracy", "balanced accuracy"},
                                                                         {"top1", "top-1"},
                                                                         {"many_shot", "many-shot"},
                                                                         {"medium_shot", "medium-shot"},
                                                                         {"few_shot", "few-shot"}};
  std::string head = "| loss |", rule = "| --- |";
  std::vector<std::string_view> shown;
  for (const auto& [name, title] : k_columns) {
    if (!summary.losses.front().test.at(name).mean) continue;
    shown.push_back(name);
    head += fmt::format(" {} |", title);
    rule += " --- |";
  }
  std::string text = head + "\n" + rule + "\n";
  for (const LossSummary& loss : summary.losses) {
    text += fmt::format("| `{}` |", printable(loss.loss, k_long_text));
    for (const std::string_view name : shown) {
      const MetricSummary& metric = loss.test.at(name);
      text += metric.interval ? fmt::format(" {:.1f} ±{:.1f} |", 100 * *metric.mean,
                                            50 * (metric.interval->high - metric.interval->low))
                              : fmt::format(" {:.1f} |", 100 * *metric.mean);
    }
    text += "\n";
  }
  return text;
}

}  // namespace ulmus
