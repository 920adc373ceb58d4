#include "ulmus/report/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "html_template.hpp"
#include "model.hpp"
#include "page.hpp"
#include "phrases.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using Number = std::optional<double>;

/// An axis of the trade-off: the recall of a group of classes.
struct Axis {
  std::string title;
  std::vector<double> values;  ///< per candidate, in percent
  double low = 0;              ///< limits of the plot
  double high = 100;
  double step = 10;

  /// Sets the limits around the values, rounded to readable steps.
  void fit() {
    const auto [least, most] = std::ranges::minmax(values);
    for (const double candidate : {0.5, 1.0, 2.0, 5.0, 10.0, 20.0}) {
      step = candidate;
      if ((most - least) / step <= 8) break;
    }
    low = std::max(0.0, (std::floor(least / step) - 1) * step);
    high = std::min(100.0, (std::ceil(most / step) + 1) * step);
  }
  double share(double value) const { return (value - low) / (high - low); }
};

/// Many-shot against few-shot accuracy, or medium-shot if no class has few samples; the outer thirds of the classes if
/// the groups do not separate them.
std::pair<Axis, Axis> trade_off_axes(const Tuning& tuning) {
  const Evaluation& first = tuning.candidates.front().validation;
  std::vector<std::int64_t> counts;
  for (const ClassResult& result : first.classes) counts.push_back(result.train_count);
  const ClassOrder order = class_order(counts);
  const bool groups = first.many_shot && (first.few_shot || first.medium_shot);
  Axis head{.title = groups ? "many-shot classes" : "most frequent third of the classes", .values = {}};
  Axis tail{.title = !groups          ? "rarest third of the classes"
                     : first.few_shot ? "few-shot classes"
                                      : "medium-shot classes",
            .values = {}};
  for (const TuneCandidate& candidate : tuning.candidates) {
    const Evaluation& e = candidate.validation;
    head.values.push_back(100 * (groups ? e.many_shot : group_recall(e, order.head())).value_or(0));
    tail.values.push_back(
        100 * (groups ? (first.few_shot ? e.few_shot : e.medium_shot) : group_recall(e, order.tail())).value_or(0));
  }
  head.fit();
  tail.fit();
  return {head, tail};
}

/// The entries of the list of losses, in order.
std::vector<std::string> list_entries(const Tuning& tuning) {
  std::vector<std::string> entries;
  for (const TuneCandidate& candidate : tuning.candidates)
    if (candidate.entry && std::ranges::find(entries, *candidate.entry) == entries.end())
      entries.push_back(*candidate.entry);
  return entries;
}

std::size_t entry_index(const std::vector<std::string>& entries, const TuneCandidate& candidate) {
  return static_cast<std::size_t>(std::ranges::find(entries, candidate.entry) - entries.begin());
}

/// Standard error of a balanced accuracy: that of a mean of independent proportions.
double standard_error(const Evaluation& evaluation) {
  double variance = 0, classes = 0;
  for (const ClassResult& result : evaluation.classes) {
    if (!result.recall) continue;
    variance += *result.recall * (1 - *result.recall) / static_cast<double>(result.support);
    ++classes;
  }
  return std::sqrt(variance) / classes;
}

std::string conclusion(const Tuning& tuning) {
  const TuneCandidate &chosen = tuning.candidates[tuning.chosen], &trained = tuning.candidates.front();
  const std::string score = percent(chosen.validation.balanced_accuracy);
  if (tuning.chosen == 0)
    return fmt::format("No new head beats the trained one, at a balanced accuracy of {}% on the validation part.",
                       score);
  return fmt::format("Chosen: {}, with a balanced accuracy of {}% on the validation part against {}% as trained.",
                     chosen.name, score, percent(trained.validation.balanced_accuracy));
}

std::string caption(const Tuning& tuning) {
  return fmt::format(
      "Chosen among {} by balanced accuracy, ties by NLL, on {} images of each class held out for validation; a "
      "standard "
      "error is {} points, so smaller differences may be chance, and the best of many is a little lucky. The test part "
      "was not looked at.",
      tuning.candidates.size(), tuning.validation_per_class,
      percent(standard_error(tuning.candidates[tuning.chosen].validation)));
}

/// The numbers of a table row.
std::vector<std::string> row_cells(const Evaluation& e) {
  return {percent(e.balanced_accuracy), percent(e.many_shot),   percent(e.medium_shot),
          percent(e.few_shot),          percent(e.worst_class), fmt::format("{:.3f}", e.nll)};
}
constexpr const char* k_titles[] = {"balanced", "many", "medium", "few", "worst", "NLL"};

/// A character plot: each entry of the list is a letter, the trained head is `o`, the chosen one `*`.
std::string character_picture(const Tuning& tuning, std::size_t width) {
  constexpr std::size_t k_rows = 14, k_margin = 6;
  const auto [head, tail] = trade_off_axes(tuning);
  const std::vector<std::string> entries = list_entries(tuning);
  const std::size_t columns = std::min<std::size_t>(width - k_margin, 72);
  std::vector<std::string> rows(k_rows, std::string(columns, ' '));
  // Clang 14 cannot capture structured bindings.
  const auto put = [&, head = head, tail = tail](std::size_t i, char c) {
    const auto x = static_cast<std::size_t>(std::lround(head.share(head.values[i]) * static_cast<double>(columns - 1)));
    const auto y = static_cast<std::size_t>(std::lround(tail.share(tail.values[i]) * static_cast<double>(k_rows - 1)));
    rows[k_rows - 1 - y][x] = c;
  };
  for (std::size_t i = 1; i < tuning.candidates.size(); ++i)
    put(i, static_cast<char>('a' + static_cast<int>(entry_index(entries, tuning.candidates[i]) % 14)));  // up to n
  put(0, 'o');
  put(tuning.chosen, '*');
  std::string text = fmt::format("{}, %\n", tail.title);
  for (std::size_t r = 0; r < k_rows; ++r) {
    const bool first = r == 0, last = r == k_rows - 1;
    text += fmt::format("{:>4} |{}",
                        first  ? fmt::format("{:.0f}", tail.high)
                        : last ? fmt::format("{:.0f}", tail.low)
                               : "",
                        rows[r]);
    text.erase(text.find_last_not_of(' ') + 1) += '\n';
  }
  text += fmt::format("     +{}\n", std::string(columns, '-'));
  const std::string low = fmt::format("{:.0f}", head.low), high = fmt::format("{:.0f}", head.high);
  const std::string title = fmt::format("{}, %", head.title);
  const std::size_t room = columns - std::min(columns, low.size() + high.size() + title.size());
  text += fmt::format("      {}{}{}{}{}\n", low, std::string(room / 2, ' '), title, std::string(room - room / 2, ' '),
                      high);
  for (std::size_t i = 0; i < entries.size(); ++i)
    text += fmt::format("{}{} {}", i == 0 ? "      " : "   ", static_cast<char>('a' + static_cast<int>(i % 14)),
                        entries[i]);
  return text + "   o as trained   * chosen\n";
}

std::string svg(const Tuning& tuning) {
  constexpr double k_chart_width = 860, k_chart_height = 460, k_chart_left = 64, k_chart_right = 24, k_chart_top = 16,
                   k_chart_bottom = 56;
  const auto [head, tail] = trade_off_axes(tuning);
  const std::vector<std::string> entries = list_entries(tuning);
  const auto x_of = [&, &axis = head](double v) {
    return k_chart_left + axis.share(v) * (k_chart_width - k_chart_left - k_chart_right);
  };
  const auto y_of = [&, &axis = tail](double v) {
    return k_chart_height - k_chart_bottom - axis.share(v) * (k_chart_height - k_chart_top - k_chart_bottom);
  };
  std::string text = fmt::format(
      R"(<svg viewBox="0 0 {} {}" role="img" aria-label="Scatter chart of recall of the {} against the {}. {}">)",
      k_chart_width, k_chart_height, html_escape(head.title), html_escape(tail.title), html_escape(conclusion(tuning)));
  const auto ticks = [](const Axis& axis) { return static_cast<int>(std::lround((axis.high - axis.low) / axis.step)); };
  for (int i = 0; i <= ticks(head); ++i) {
    const double value = head.low + i * head.step, x = x_of(value);
    text += fmt::format(R"(<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>)"
                        R"(<text x="{0:.1f}" y="{3}" text-anchor="middle">{4:g}</text>)",
                        x, k_chart_top, k_chart_height - k_chart_bottom, k_chart_height - k_chart_bottom + 20, value);
  }
  for (int i = 0; i <= ticks(tail); ++i) {
    const double value = tail.low + i * tail.step, y = y_of(value);
    text += fmt::format(R"(<line class="grid" x1="{1}" x2="{2}" y1="{0:.1f}" y2="{0:.1f}"/>)"
                        R"(<text x="{3}" y="{4:.1f}" text-anchor="end">{5:g}</text>)",
                        y, k_chart_left, k_chart_width - k_chart_right, k_chart_left - 8, y + 4, value);
  }
  text += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">Recall of the {}, %</text>)",
                      (k_chart_left + k_chart_width - k_chart_right) / 2, k_chart_height - 12, html_escape(head.title));
  text += fmt::format(
      R"-(<text transform="translate(16 {:.1f}) rotate(-90)" text-anchor="middle">Recall of the {}, %</text>)-",
      (k_chart_top + k_chart_height - k_chart_bottom) / 2, html_escape(tail.title));
  for (std::size_t e = 0; e < entries.size(); ++e) {
    // A single grid key gives a curve; several give a cloud of points.
    std::string points;
    bool curve = true;
    for (std::size_t i = 1; i < tuning.candidates.size(); ++i)
      if (tuning.candidates[i].entry == entries[e]) {
        points += fmt::format("{:.1f},{:.1f} ", x_of(head.values[i]), y_of(tail.values[i]));
        curve = curve && tuning.candidates[i].values.size() == 1;
      }
    if (curve) text += fmt::format(R"(<polyline class="c{}" points="{}"/>)", e % 8, points);
  }
  for (std::size_t i = 0; i < tuning.candidates.size(); ++i) {
    const TuneCandidate& candidate = tuning.candidates[i];
    const std::string colour = i == 0 ? "trained" : fmt::format("c{}", entry_index(entries, candidate) % 8);
    text += fmt::format(
        R"(<circle class="point {}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}: balanced {}%</title></circle>)", colour,
        x_of(head.values[i]), y_of(tail.values[i]), html_escape(candidate.name),
        percent(candidate.validation.balanced_accuracy));
  }
  const double x = x_of(head.values[tuning.chosen]), y = y_of(tail.values[tuning.chosen]);
  const bool left = x > k_chart_width / 2;
  return text + fmt::format(R"(<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="9"/>)"
                            R"(<text class="label" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text></svg>)",
                            x, y, left ? x - 14 : x + 14, y + 4, left ? "end" : "start",
                            html_escape(tuning.candidates[tuning.chosen].name));
}

}  // namespace

std::string tuning_table(const Tuning& tuning, const TableOptions& options) {
  std::size_t width = 4;
  for (const TuneCandidate& candidate : tuning.candidates) width = std::max(width, candidate.name.size());
  std::string text = fmt::format("{:<{}}", "head", width);
  for (const char* title : k_titles) text += fmt::format("  {:>8}", title);
  text += '\n';
  for (std::size_t i = 0; i < tuning.candidates.size(); ++i) {
    std::string line = fmt::format("{:<{}}", tuning.candidates[i].name, width);
    for (const std::string& cell : row_cells(tuning.candidates[i].validation)) line += fmt::format("  {:>8}", cell);
    const bool chosen = i == tuning.chosen;
    text += !chosen ? line : options.colour ? fmt::format("\x1b[1m{}\x1b[0m", line) : line + " *";
    text += '\n';
  }
  text += "\n" + character_picture(tuning, static_cast<std::size_t>(std::max(options.width, 40)));
  return text + "\n" + conclusion(tuning) + "\n" + caption(tuning) + "\n";
}

std::string tuning_html(const Tuning& tuning) {
  const std::vector<std::string> entries = list_entries(tuning);
  std::string legend = R"(<span><i class="swatch trained"></i>as trained</span>)";
  for (std::size_t e = 0; e < entries.size(); ++e)
    legend += fmt::format(R"(<span><i class="swatch c{}"></i>{}</span>)", e % 8, html_escape(entries[e]));
  std::string table =
      R"(<div class="scroll"><table><caption>Validation part, percent (NLL in nats)</caption><thead><tr><th>Head</th>)";
  for (const char* title : k_titles) table += fmt::format(R"(<th scope="col">{}</th>)", title);
  table += "</tr></thead><tbody>";
  for (std::size_t i = 0; i < tuning.candidates.size(); ++i) {
    table += fmt::format(R"(<tr{}><th scope="row">{}</th>)", i == tuning.chosen ? R"( class="chosen")" : "",
                         html_escape(tuning.candidates[i].name));
    for (const std::string& cell : row_cells(tuning.candidates[i].validation))
      table += fmt::format("<td>{}</td>", cell);
    table += "</tr>";
  }
  table += "</tbody></table></div>";
  return render_template(k_tuning_page, {{"loss", html_escape(tuning.loss)},
                                         {"seed", std::to_string(tuning.seed)},
                                         {"data", html_escape(tuning.data)},
                                         {"conclusion", html_escape(conclusion(tuning))},
                                         {"caption", html_escape(caption(tuning))},
                                         {"legend", legend},
                                         {"picture", svg(tuning)},
                                         {"table", table}});
}

std::string to_json(const Tuning& tuning) {
  Json candidates = Json::array();
  for (const TuneCandidate& candidate : tuning.candidates)
    candidates.push_back({{"name", candidate.name},
                          {"entry", candidate.entry.value_or("")},
                          {"values", candidate.values},
                          {"head", std::string(name_of(candidate.head))},
                          {"scale", candidate.scale},
                          {"validation", candidate.validation}});
  const Json json = {{"schema_version", 1},
                     {"loss", tuning.loss},
                     {"seed", tuning.seed},
                     {"data", tuning.data},
                     {"validation_per_class", tuning.validation_per_class},
                     {"candidates", candidates},
                     {"chosen", tuning.candidates[tuning.chosen].name},
                     {"member", tuning.new_model ? Json(*tuning.new_model) : Json()}};
  return json.dump(1) + "\n";
}

}  // namespace ulmus
