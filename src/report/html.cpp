#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>

#include "charts.hpp"
#include "gallery.hpp"
#include "html_parts.hpp"
#include "html_template.hpp"
#include "model.hpp"
#include "page.hpp"
#include "phrases.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

constexpr std::array k_chartjs_paths = {"/usr/share/javascript/chart.js/chart.min.js",
                                        "/usr/share/nodejs/chart.js/dist/chart.min.js",
                                        "/usr/local/share/javascript/chart.js/chart.min.js"};
constexpr const char* k_chartjs_variable = "ULMUS_CHARTJS";

/// Maximum number of rows of the per-class table; results/*.json has every class.
constexpr std::size_t k_most_class_rows = 10000;

/// Confusion tables of more classes get the full width of the page.
constexpr std::size_t k_most_classes_side_by_side = 14;

/// Number of different colours; later losses repeat them with a dashed line.
constexpr std::size_t k_colours = 8;

/// Escapes JSON for use inside a script element: without `<`, no tag can end or open there.
std::string script_json(const Json& json) {
  std::string result;
  for (const char c : json.dump()) {
    if (c == '<')
      result += "\\u003c";
    else
      result += c;
  }
  return result;
}

/// Escapes `</script` in a library's text so that it does not end the element; in a JavaScript string or expression,
/// the only places where it can occur, `<\/` means the same.
std::string script_text(std::string text) {
  constexpr std::string_view tag = "/script";
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const bool found = text.size() - at > tag.size() &&
                       std::equal(tag.begin(), tag.end(), text.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                                  [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
    if (found) text.insert(at + 1, 1, '\\');
  }
  return text;
}

std::string read_chartjs() {
  if (const char* chosen = std::getenv(k_chartjs_variable)) {
    if (std::filesystem::is_regular_file(chosen)) return read_file(chosen);
    throw Error(ErrorKind::environment,
                fmt::format("{} is '{}', which is not a file; give the path of chart.min.js, or "
                            "unset it and apt-get install libjs-chart.js",
                            k_chartjs_variable, chosen));
  }
  if (const auto path = find_chartjs()) return read_file(*path);
  throw Error(
      ErrorKind::environment,
      fmt::format("the report needs Chart.js, which is not at '{}'; apt-get install libjs-chart.js, or set {} to "
                  "its chart.min.js",
                  k_chartjs_paths.front(), k_chartjs_variable));
}

/// "3.9.1" from the banner of the library.
std::string chartjs_version(const std::string& library) {
  const std::size_t begin = library.find("Chart.js v");
  if (begin == std::string::npos) return "unknown";
  const std::size_t digits = begin + std::string_view("Chart.js v").size();
  return library.substr(digits, library.find_first_not_of("0123456789.", digits) - digits);
}

std::string ratio_text(double ratio) {
  return ratio < 10 ? fmt::format("{:.1f}", ratio) : fmt::format("{:.0f}", ratio);
}

std::string duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string swatch(std::size_t loss) {
  return fmt::format(R"(<i class="swatch c{}{}" aria-hidden="true"></i>)", loss % k_colours,
                     loss >= k_colours ? " dashed" : "");
}

/// "Top-1" with a non-breaking hyphen.
std::string with_fixed_hyphens(std::string_view label) {
  std::string result;
  for (const char c : label) {
    if (c == '-')
      result += "&#8209;";
    else
      result += c;
  }
  return result;
}

/// The text of a loss that may break before a parameter or a rule, but not inside one.
std::string with_line_breaks(std::string_view loss) {
  std::string result;
  for (const char c : html_escape(loss)) {
    if (c == '+') result += "<wbr>";
    result += c;
    if (c == ':' || c == ',') result += "<wbr>";
  }
  return result;
}

/// A loss with its colour.
std::string loss_label(const Summary& summary, std::size_t loss) {
  return fmt::format(R"(<span class="name">{}<span>{}</span></span>)", swatch(loss),
                     with_line_breaks(summary.losses[loss].loss));
}

std::string canvas(std::string_view id, std::string_view label) {
  return fmt::format(R"(<div class="chart"><canvas id="{}" role="img" aria-label="{}"></canvas></div>)", id,
                     html_escape(label));
}

std::string metric_value(const Metric& metric, const MetricSummary& value) {
  if (!value.mean) return "–";
  if (metric.fraction)
    return percent(value.mean) +
           (value.interval ? fmt::format(R"( <span class="pm">±{}</span>)", half_width(*value.interval)) : "");
  return fmt::format("{:.3f}", *value.mean) +
         (value.interval
              ? fmt::format(R"( <span class="pm">±{:.3f}</span>)", (value.interval->high - value.interval->low) / 2)
              : "");
}

/// Whether the tables of a run show a metric. Results of earlier versions lack those of two classes.
bool is_shown(const Summary& summary, std::size_t metric) {
  if (!metrics()[metric].of_two_classes) return true;
  return summary.class_names.size() == 2 && std::ranges::any_of(summary.losses, [&](const LossSummary& loss) {
           return loss.test.metrics[metric].mean.has_value();
         });
}

/// Rows: losses. Columns: all metrics. Best values are only marked for the test set, because losses are only compared
/// there.
template <class SetOf>
std::string metrics_table(const Summary& summary, std::string_view caption, bool mark_best, SetOf set_of) {
  std::vector<std::string> titles = {"Loss"};
  for (std::size_t m = 0; m < metrics().size(); ++m)
    if (is_shown(summary, m)) titles.push_back(with_fixed_hyphens(metrics()[m].label));
  std::string text = table_start("numbers", caption, titles);
  for (std::size_t i = 0; i < summary.losses.size(); ++i) {
    const LossSummary& loss = summary.losses[i];
    text += fmt::format(R"(<tr><th scope="row">{}</th>)", loss_label(summary, i));
    const SetSummary& set = set_of(loss);
    for (std::size_t m = 0; m < metrics().size(); ++m) {
      if (!is_shown(summary, m)) continue;
      const bool best = mark_best && is_best(summary, m, i);
      text += best ? R"(<td class="best">)" : "<td>";
      text += metric_value(metrics()[m], set.metrics[m]);
      if (best) text += R"(<span class="unseen"> best</span>)";
      if (metrics()[m].name == "worst_class")
        text += fmt::format(R"(<span class="note">{}</span>)", html_escape(shorten(most_common_worst_class(set), 24)));
      text += "</td>";
    }
    text += "</tr>";
  }
  text += k_table_end;
  return text;
}

std::string results(const Summary& summary) {
  const bool validated = std::all_of(summary.losses.begin(), summary.losses.end(),
                                     [](const LossSummary& loss) { return loss.validation.has_value(); });
  std::string text = metrics_table(summary, "Test set, percent (NLL in nats)", true,
                                   [](const LossSummary& loss) -> const SetSummary& { return loss.test; });
  if (validated)
    text += collapsible("On the validation part",
                        metrics_table(summary, "Validation part, percent (NLL in nats)", false,
                                      [](const LossSummary& loss) -> const SetSummary& { return *loss.validation; }));
  text += collapsible("On the training set",
                      metrics_table(summary, "Training set, percent (NLL in nats)", false,
                                    [](const LossSummary& loss) -> const SetSummary& { return loss.train; }));
  return text;
}

/// The best loss by balanced accuracy, in four numbers.
std::string cards(const ReportModel& report) {
  const Summary& summary = report.summary;
  const ClassOrder& order = report.order;
  const std::size_t best = best_loss(summary), baseline = baseline_loss(summary);
  const SetSummary& test = summary.losses[best].test;
  const auto members = report.members[best];
  const auto value = [&](std::string_view name) { return metric_value(metrics()[metric_index(name)], test.at(name)); };
  const double gain = *test.at("balanced_accuracy").mean - *summary.losses[baseline].test.at("balanced_accuracy").mean;
  const std::string above = best == baseline
                                ? std::string("mean recall of the classes")
                                : fmt::format("{:+.1f} points over {}", 100 * gain, summary.losses[baseline].loss);
  std::string text;
  if (summary.losses.size() > 1)
    text += fmt::format(R"(<p class="soft">The best loss by balanced accuracy: {}</p>)", loss_label(summary, best));
  text += R"(<dl class="cards">)";
  text += card("Balanced accuracy, %", value("balanced_accuracy"), above);
  text += card(order.third == 1 ? "Rarest class, recall %" : "Rarest third, recall %",
               percent(group_recall(members, order.tail())),
               fmt::format("most frequent {}: {}", order.third == 1 ? "class" : "third",
                           percent(group_recall(members, order.head()))));
  text += card("Worst class, recall %", value("worst_class"), shorten(most_common_worst_class(test), 32));
  text += card("Calibration error, %", value("ece"), "lower is better");
  return text + "</dl>";
}

std::string legend(const Summary& summary) {
  std::string text = R"(<div class="legend" role="group" aria-label="Show or hide losses in the charts">)";
  for (std::size_t i = 0; i < summary.losses.size(); ++i)
    text += fmt::format(R"(<button type="button" data-loss="{}" aria-pressed="true">{}</button>)", i,
                        loss_label(summary, i));
  return text + "</div>";
}

std::string distribution(const RunFolder& run, const ClassOrder& order) {
  constexpr std::array names = {"many-shot", "medium-shot", "few-shot"};
  const ShotThresholds thresholds = run.results.front().test.thresholds;
  std::array<std::int64_t, 3> classes{};
  for (const std::int64_t count : run.train_counts) ++classes[static_cast<std::size_t>(shot_group(count, thresholds))];
  const std::array rules = {fmt::format("more than {}", thresholds.many_above),
                            fmt::format("{} to {}", thresholds.few_below, thresholds.many_above),
                            fmt::format("fewer than {}", thresholds.few_below)};
  std::string text = R"(<p class="legend">)";
  for (std::size_t i = 0; i < names.size(); ++i)
    text += fmt::format(R"(<span><i class="swatch s{}" aria-hidden="true"></i>{} ({} images): {} {}</span>)", i,
                        names[i], rules[i], classes[i], classes[i] == 1 ? "class" : "classes");
  text += R"(<label><input type="checkbox" id="log-scale"> logarithmic scale</label></p>)";
  const auto most = order.by_count.front(), least = order.by_count.back();
  return text + canvas("distribution", fmt::format("Bar chart of training images by class, from {} ({}) to {} ({}).",
                                                   run.train_counts[most], run.class_names[most],
                                                   run.train_counts[least], run.class_names[least]));
}

/// "ce 70.1, elm+drw 83.4".
template <class Number>
std::string each_loss(const Summary& summary, Number number) {
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < summary.losses.size(); ++i)
    pieces.push_back(fmt::format("{} {}", summary.losses[i].loss, number(i)));
  return join(pieces, ", ");
}

std::string curves(const RunFolder& run, const Summary& summary) {
  const bool any = std::any_of(run.epochs.begin(), run.epochs.end(), [&](const EpochRecord& record) {
    return std::any_of(summary.losses.begin(), summary.losses.end(),
                       [&](const LossSummary& loss) { return loss.loss == record.loss; });
  });
  if (!any) return "<p>This run folder has no metrics.jsonl, so there are no learning curves.</p>";
  const auto on = [&](auto member) {
    return std::any_of(run.epochs.begin(), run.epochs.end(),
                       [&](const EpochRecord& record) { return (record.*member).has_value(); });
  };
  const bool scored = on(&EpochRecord::test) || on(&EpochRecord::validation);
  const std::string set = on(&EpochRecord::test) ? "test set" : "validation part";
  std::string text = legend(summary) + R"(<div class="pair">)";
  if (scored)
    text += fmt::format(
        "<figure><figcaption>Balanced accuracy on the {}, %</figcaption>{}</figure>", set,
        canvas("curve-score", fmt::format("Line chart of balanced accuracy on the {} by epoch. After training, percent "
                                          "of the test set: {}.",
                                          set, each_loss(summary, [&](std::size_t i) {
                                            return percent(summary.losses[i].test.at("balanced_accuracy").mean);
                                          }))));
  std::map<std::string, std::pair<std::int64_t, std::optional<double>>> last;
  for (const EpochRecord& record : run.epochs)
    if (record.epoch >= last[record.loss].first) last[record.loss] = {record.epoch, record.train_loss};
  const auto final_loss = [&](std::size_t i) {
    const std::optional<double> value = last[summary.losses[i].loss].second;
    return value ? fmt::format("{:.3g}", *value) : std::string("none");
  };
  return text + fmt::format("<figure><figcaption>Training loss</figcaption>{}</figure></div>",
                            canvas("curve-loss", fmt::format("Line chart of training loss by epoch. Last epoch: {}.",
                                                             each_loss(summary, final_loss))));
}

std::string recall_table(const ReportModel& report) {
  const RunFolder& run = report.run;
  const ClassOrder& order = report.order;
  std::vector<std::string> titles = {"Class", "Training images"};
  for (const LossSummary& loss : report.summary.losses) titles.push_back(with_line_breaks(loss.loss));
  const std::size_t classes = order.by_count.size();
  const bool many = classes > k_most_classes_written;
  std::string text = table_start(
      "numbers",
      fmt::format("Test recall by class, percent, mean of the seeds{}", many ? ", rarest classes first" : ""), titles);
  std::vector<std::size_t> shown = order.by_count;
  if (many) std::ranges::reverse(shown);
  if (classes > k_most_class_rows) {
    const auto middle = shown.begin() + static_cast<std::ptrdiff_t>(k_most_class_rows / 2);
    shown.erase(middle, middle + static_cast<std::ptrdiff_t>(classes - k_most_class_rows));
  }
  for (const std::size_t& c : shown) {
    const std::span<const std::size_t> one(&c, 1);
    text += fmt::format(R"(<tr><th scope="row">{}</th><td>{}</td>)", html_escape(shorten(run.class_names[c], 40)),
                        group_digits(run.train_counts[c]));
    for (const auto& of_loss : report.members) text += fmt::format("<td>{}</td>", percent(group_recall(of_loss, one)));
    text += "</tr>";
  }
  text += k_table_end;
  if (classes > k_most_class_rows)
    text += fmt::format("<p>The {0} rarest and the {0} most frequent classes; every class is in results/*.json.</p>",
                        group_digits(k_most_class_rows / 2));
  return collapsible("As a table", fmt::format(R"(<div id="recall-table">{}</div>)", text));
}

std::string recall(const ReportModel& report) {
  const Summary& summary = report.summary;
  const ClassOrder& order = report.order;
  const std::size_t block = block_size(order.by_count.size(), k_most_class_bins);
  std::string text = legend(summary);
  if (block > 1) text += fmt::format("<p>Each point is the mean of up to {} classes of similar frequency.</p>", block);
  text +=
      canvas("recall", fmt::format("Recall by class, frequent to rare. Most frequent and rarest third, percent: {}.",
                                   each_loss(summary, [&](std::size_t i) {
                                     return percent(group_recall(report.members[i], order.head())) + " and " +
                                            percent(group_recall(report.members[i], order.tail()));
                                   })));
  return text + recall_table(report);
}

/// The columns that matter to trees; nothing for networks.
std::string importance(const ReportModel& report) {
  const ImportanceChart chart = importance_chart(report);
  if (chart.columns.empty()) return "";
  const Summary& summary = report.summary;
  std::string text =
      R"(<section aria-labelledby="importance-title"><h2 id="importance-title">Columns that matter</h2><p>Share of the )"
      "gain of all splits of the trees, percent, mean of the seeds. A column can matter and yet be redundant, and of "
      "two "
      "that tell the same the trees may use one.</p>";
  if (chart.left_out > 0)
    text += fmt::format("<p>The {} most important columns; the trees split on {} more, which results/*.json has.</p>",
                        chart.columns.size(), chart.left_out);
  if (summary.losses.size() > 1) text += legend(summary);
  text += canvas("importance", fmt::format("Bar chart of the importance of columns. The first is {}.",
                                           printable(chart.columns.front())));
  std::vector<std::string> titles = {"Column"};
  for (const LossSummary& loss : summary.losses) titles.push_back(with_line_breaks(loss.loss));
  std::string table = table_start("numbers", "Importance of the columns, percent", titles);
  for (std::size_t c = 0; c < chart.columns.size(); ++c) {
    table += fmt::format(R"(<tr><th scope="row">{}</th>)", html_escape(shorten(printable(chart.columns[c]), 60)));
    for (const std::vector<double>& gain : chart.gain) table += fmt::format("<td>{}</td>", percent(gain[c]));
    table += "</tr>";
  }
  return text + collapsible("As a table", table + std::string(k_table_end)) + "</section>";
}

std::string margins(const Summary& summary, const std::vector<MarginChart>& charts) {
  std::string text = R"(<div class="multiples">)";
  for (std::size_t i = 0; i < charts.size(); ++i) {
    const std::string negative =
        fmt::format("Test images below zero: frequent {}%, rare {}%", percent(charts[i].test_head.negative),
                    percent(charts[i].test_tail.negative));
    text += fmt::format(
        "<figure><figcaption>{}<b>{}</b></figcaption>{}<p class=\"note\">{}.</p></figure>", swatch(i),
        html_escape(summary.losses[i].loss),
        canvas(fmt::format("margin-{}", i),
               fmt::format("Density of the {} margin of {}. {}.", charts[i].unit, summary.losses[i].loss, negative)),
        negative);
  }
  return text + "</div>";
}

std::string confusion_of(const ReportModel& report, std::size_t loss, const std::string& caption) {
  std::vector<std::string> names;
  for (const std::size_t c : report.order.by_count) names.push_back(report.run.class_names[c]);
  return confusion_table(report.confusions[loss], names, caption);
}

std::string confusions(const ReportModel& report) {
  const Summary& summary = report.summary;
  const std::size_t classes = report.order.by_count.size();
  const bool written = classes <= k_most_classes_written;
  std::string text;
  if (!written) {
    const std::size_t block = block_size(classes, k_most_matrix_cells);
    text += fmt::format("<p>With {} classes the matrices are drawn without numbers.", classes);
    if (block > 1) text += fmt::format(" A cell joins {} neighbouring classes in each direction.", block);
    text += "</p>";
  }
  text += !written                                ? R"(<div class="multiples">)"
          : classes > k_most_classes_side_by_side ? R"(<div class="matrices wide">)"
                                                  : R"(<div class="matrices">)";
  for (std::size_t i = 0; i < report.confusions.size(); ++i) {
    text += fmt::format("<figure><figcaption><b>{}</b></figcaption>", loss_label(summary, i));
    const std::string loss = html_escape(summary.losses[i].loss);
    if (written)
      text += confusion_of(report, i, fmt::format("Confusion of {}, percent of the true class", loss));
    else
      text += fmt::format(
          R"(<canvas class="matrix" id="matrix-{}" role="img" aria-label="Confusion matrix of {}, frequent classes )"
          R"(first. The mean of its diagonal is {} percent."></canvas>)",
          i, loss, percent(summary.losses[i].test.at("balanced_accuracy").mean));
    text += "</figure>";
  }
  return text + "</div>";
}

std::string provenance(const RunFolder& run, const Summary& summary, const std::string& chartjs) {
  std::vector<std::string> seeds;
  for (const std::int64_t seed : summary.seeds) seeds.push_back(std::to_string(seed));
  const std::int64_t images = std::accumulate(run.train_counts.begin(), run.train_counts.end(), std::int64_t{0});
  const auto code = [](const std::string& text) { return fmt::format("<code>{}</code>", html_escape(text)); };
  std::string text = "<dl class=\"facts\">";
  if (!summary.command.empty()) text += fact("Command", code(summary.command));
  text += fact("Seeds", join(seeds, ", ")) +
          fact("What was chosen on what", html_escape(selection_phrase(summary)) + ".") +
          fact("Training images", fmt::format("{} in {} classes, profile {}", group_digits(images),
                                              run.class_names.size(), code(summary.imbalance))) +
          fact("Test images", group_digits(summary.losses.front().test.samples)) +
          fact("Data, SHA-256", code(summary.data_sha256)) + fact("Split, SHA-256", code(summary.split_sha256)) +
          fact("Versions", fmt::format("Ulmus {}, Chart.js {}", html_escape(summary.version), html_escape(chartjs)));
  if (!summary.unfinished.empty()) text += fact("Not finished, left out", html_escape(join(summary.unfinished, "; ")));
  text += "</dl>";
  text += table_start(
      "numbers words", "Losses in full",
      {"Loss", "With every parameter", "Model", "Head", "Scale", "Parameters", "Epochs", "Seeds", "Time per seed"});
  for (std::size_t i = 0; i < summary.losses.size(); ++i) {
    const LossSummary& loss = summary.losses[i];
    text += fmt::format(R"(<tr><th scope="row">{}</th>)", loss_label(summary, i));
    for (const std::string& cell :
         {code(loss.loss_full), html_escape(loss.model), html_escape(loss.head), format_number(loss.scale),
          group_digits(loss.parameters), std::to_string(loss.epochs), std::to_string(loss.seeds.size()),
          duration(loss.seconds)})
      text += fmt::format("<td>{}</td>", cell);
    text += "</tr>";
  }
  text += k_table_end;
  return text;
}

/// The columns of a table and how each was read.
std::string columns_table(const RunFolder& run) {
  if (run.columns.empty()) return "";
  std::string text = table_start("numbers words", "Columns of the table",
                                 {"Column", "Kind", "Values", "Missing, %", "What was done with it"});
  for (const RunColumn& column : run.columns)
    text += fmt::format(R"(<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{:.3g}</td><td>{}</td></tr>)",
                        html_escape(printable(column.name)), html_escape(column.kind), html_escape(column.values),
                        100 * column.missing, html_escape(column.treatment));
  return collapsible("Columns of the table", text + std::string(k_table_end));
}

/// What was ignored or changed in the data.
std::string notes_list(const RunFolder& run) {
  if (run.notes.empty()) return "";
  std::string text = "<p class=\"soft\">Notes on the data</p><ul class=\"notes\">";
  for (const std::string& note : run.notes) text += fmt::format("<li>{}</li>", html_escape(note));
  return text + "</ul>";
}

std::string definitions(const Summary& summary, ShotThresholds thresholds) {
  std::string text = "<dl class=\"facts\">";
  for (std::size_t m = 0; m < metrics().size(); ++m) {
    if (!is_shown(summary, m)) continue;
    const Metric& metric = metrics()[m];
    std::string meaning(metric.meaning);
    if (metric.name == "many_shot") meaning += fmt::format(" Many: more than {}.", thresholds.many_above);
    if (metric.name == "few_shot") meaning += fmt::format(" Few: fewer than {}.", thresholds.few_below);
    text += fact(metric.label, html_escape(meaning));
  }
  return text + "</dl>";
}

}  // namespace

std::optional<std::filesystem::path> find_chartjs() {
  const auto existing = [](std::filesystem::path path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) ? std::optional(std::move(path)) : std::nullopt;
  };
  if (const char* chosen = std::getenv(k_chartjs_variable)) return existing(chosen);
  for (const char* path : k_chartjs_paths)
    if (auto found = existing(path)) return found;
  return std::nullopt;
}

std::string html(const RunFolder& run, const Summary& summary) {
  const std::string library = read_chartjs();
  const ReportModel report(run, summary);
  const std::vector<MarginChart> margin = margin_charts(report);
  const std::string sentences = conclusion(report);
  const std::size_t first_end = sentences.find('\n');
  return render_template(
      k_page,
      {{"title", html_escape(fmt::format("{}, imbalance ratio {}", summary.data, ratio_text(summary.imbalance_ratio)))},
       {"data", html_escape(summary.data)},
       {"ratio", ratio_text(summary.imbalance_ratio)},
       {"classes", group_digits(static_cast<std::int64_t>(run.class_names.size()))},
       {"caption",
        html_escape(fmt::format("Test set of {} images, {}. {}.", group_digits(summary.losses.front().test.samples),
                                seeds_phrase(summary), selection_phrase(summary)))},
       {"conclusion", html_escape(sentences.substr(0, first_end))},
       {"more", first_end == std::string::npos
                    ? std::string()
                    : fmt::format("<p>{}</p>", html_escape(sentences.substr(first_end + 1)))},
       {"cards", cards(report)},
       {"results", results(summary)},
       {"distribution", distribution(run, report.order)},
       {"curves", curves(run, summary)},
       {"recall", recall(report)},
       {"importance", importance(report)},
       {"margins", margins(summary, margin)},
       {"confusions", confusions(report)},
       {"gallery", gallery_section(report)},
       {"provenance", provenance(run, summary, chartjs_version(library)) + notes_list(run) + columns_table(run)},
       {"definitions", definitions(summary, run.results.front().test.thresholds)},
       {"chart_data", script_json(chart_data(report, margin))},
       {"chartjs", script_text(library)}});
}

Summary write_report(const std::filesystem::path& folder) {
  const RunFolder run = read_run(folder);
  Summary summary = summarize(run);
  const std::string page = html(run, summary);
  write_file(folder / "summary.json", to_json(summary));
  write_file(folder / "report.html", page);
  return summary;
}

}  // namespace ulmus
