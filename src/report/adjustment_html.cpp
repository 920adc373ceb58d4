#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adjustment_text.hpp"
#include "charts.hpp"
#include "html_parts.hpp"
#include "html_template.hpp"
#include "model.hpp"
#include "page.hpp"
#include "phrases.hpp"
#include "svg_plot.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

constexpr std::size_t k_most_curves = 6;
constexpr std::size_t k_most_confusions = 20;
constexpr std::size_t k_most_classes_side_by_side = 14;

std::string name_of(const AdjustmentReport& report, std::size_t c) {
  return printable(report.adjustment.plan().class_names[c]);
}

bool two_classes(const AdjustmentReport& report) { return report.comparison.positive.has_value(); }

/// The classes whose curves are drawn: the positive one of two, else the rarest.
std::vector<std::size_t> drawn_classes(const AdjustmentReport& report) {
  if (two_classes(report)) return {static_cast<std::size_t>(*report.comparison.positive)};
  const auto& counts = report.adjustment.plan().train_counts;
  const auto& classes = report.comparison.after.classes;
  const auto frequency = [&](std::size_t c) {
    return counts ? (*counts)[static_cast<std::int64_t>(c)] : classes[c].support;
  };
  std::vector<std::size_t> drawn(classes.size());
  std::iota(drawn.begin(), drawn.end(), std::size_t{0});
  std::erase_if(drawn, [&](std::size_t c) { return classes[c].support == 0; });
  std::ranges::stable_sort(drawn, [&](std::size_t a, std::size_t b) { return frequency(a) < frequency(b); });
  drawn.resize(std::min(drawn.size(), k_most_curves));
  return drawn;
}

std::string percent_of(const ComparedMetric& metric, double value) {
  return metric_number(metric, value) + (metric.fraction && std::isfinite(value) ? "%" : "");
}

std::string cards(const AdjustmentReport& report) {
  std::string text = R"(<dl class="cards">)";
  std::vector<std::string_view> names = {"balanced_accuracy", "macro_f1", "mcc", "average_precision"};
  if (two_classes(report)) names = {"balanced_accuracy", "recall", "precision", "average_precision"};
  if (report.adjustment.plan().costs) names[3] = "cost";
  for (const ComparedMetric& metric : report.comparison.metrics) {
    if (std::ranges::find(names, metric.name) == names.end()) continue;
    std::string label = metric.label;
    label[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(label[0])));
    text += card(label, percent_of(metric, metric.after.value),
                 fmt::format("before: {}", percent_of(metric, metric.before.value)));
  }
  return text + "</dl>";
}

std::string steps(const AdjustmentReport& report) {
  std::string text;
  for (const std::string& step : report.adjustment.steps()) text += fmt::format("<li>{}</li>", html_escape(step));
  return text.empty() ? "<li>nothing</li>" : text;
}

/// "better" or "worse" if the interval of the change excludes 0.
std::string_view direction(const ComparedMetric& metric) {
  if (metric.change.low * metric.better > 0 && metric.change.high * metric.better > 0) return "better";
  if (metric.change.low * metric.better < 0 && metric.change.high * metric.better < 0) return "worse";
  return "";
}

std::string metrics_table(const AdjustmentReport& report) {
  std::string text = table_start("numbers", "Percent where no other unit is named, with 95% intervals",
                                 {"Metric", "Before", "After", "Change"});
  const auto cell = [](std::string_view style, const std::string& value, const std::string& interval) {
    return fmt::format(R"(<td class="{}">{}{}</td>)", style, value,
                       interval.empty() ? "" : fmt::format(R"(<span class="pm">{}</span>)", interval));
  };
  for (const ComparedMetric& metric : report.comparison.metrics)
    text += fmt::format(R"(<tr><th scope="row">{}</th>{}{}{}</tr>)", html_escape(metric.label),
                        cell("", metric_number(metric, metric.before.value), interval_text(metric, metric.before)),
                        cell("", metric_number(metric, metric.after.value), interval_text(metric, metric.after)),
                        cell(direction(metric), change_number(metric, metric.change.value),
                             interval_text(metric, metric.change, true)));
  return text + std::string(k_table_end);
}

std::string legend(const AdjustmentReport& report, const std::vector<std::size_t>& drawn) {
  std::string text;
  for (std::size_t i = 0; i < drawn.size(); ++i)
    text += fmt::format(R"(<span class="c{}"><i class="swatch" aria-hidden="true"></i>{}</span>)", i,
                        html_escape(shorten(name_of(report, drawn[i]), 40)));
  if (!two_classes(report) && drawn.size() < report.comparison.after.classes.size())
    text += fmt::format("<span>the {} rarest classes</span>", drawn.size());
  return text;
}

using Points = std::vector<std::pair<double, double>>;

Points precision_recall(const std::vector<OperatingPoint>& curve) {
  Points points;
  if (!curve.empty()) points.emplace_back(0, curve.front().precision);
  for (const OperatingPoint& point : curve) points.emplace_back(point.recall, point.precision);
  return points;
}

Points roc(const std::vector<OperatingPoint>& curve) {
  Points points = {{0, 0}};
  for (const OperatingPoint& point : curve) points.emplace_back(point.false_positive_rate, point.recall);
  return points;
}

std::string decision_text(const AdjustmentReport& report, std::size_t c, const ScoredClass& side, const char* when) {
  return fmt::format("{} {}: precision {}%, recall {}%, false alarms {}%", name_of(report, c), when,
                     side.predicted ? percent(side.decision.precision) : "-", percent(side.decision.recall),
                     percent(side.decision.false_positive_rate));
}

/// The two plots of curves. Before and after have one curve for two classes, where an adjustment keeps the order.
std::string curves(const AdjustmentReport& report, const std::vector<std::size_t>& drawn) {
  const auto& before = report.comparison.before.classes;
  const auto& after = report.comparison.after.classes;
  std::vector<std::string> decisions;
  for (const std::size_t c : drawn) {
    decisions.push_back(decision_text(report, c, before[c], "before"));
    decisions.push_back(decision_text(report, c, after[c], "after"));
  }
  SvgPlot precision("Recall, %", "Precision, %", "Precision-recall curves. " + join(decisions, "; "));
  SvgPlot false_alarms("False alarms among samples of other classes, %", "Recall, %",
                       "ROC curves. " + join(decisions, "; "));
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    const ScoredClass &was = before[drawn[i]], &is = after[drawn[i]];
    if (!two_classes(report)) {
      precision.line(precision_recall(was.curve), fmt::format("c{} before", i));
      false_alarms.line(roc(was.curve), fmt::format("c{} before", i));
    }
    precision.line(precision_recall(is.curve), fmt::format("c{}", i));
    false_alarms.line(roc(is.curve), fmt::format("c{}", i));
  }
  for (std::size_t i = 0; i < drawn.size(); ++i)
    for (const bool earlier : {true, false}) {
      const ScoredClass& side = (earlier ? before : after)[drawn[i]];
      const std::string style = fmt::format("point c{}{}", i, earlier ? " before" : "");
      const std::string& title = decisions[2 * i + (earlier ? 0 : 1)];
      if (side.predicted) precision.point(side.decision.recall, side.decision.precision, style, title);
      false_alarms.point(side.decision.false_positive_rate, side.decision.recall, style, title);
    }
  return fmt::format("<figure><figcaption>Precision-recall</figcaption>{}</figure>", std::move(precision).finish()) +
         fmt::format("<figure><figcaption>ROC</figcaption>{}</figure>", std::move(false_alarms).finish());
}

/// The area of a point shows its share of the samples, as far as it can be seen.
double point_radius(const ReliabilityBin& bin, std::int64_t samples) {
  return 2.5 + 7 * std::sqrt(static_cast<double>(bin.samples) / static_cast<double>(samples));
}

std::string reliability(const AdjustmentReport& report) {
  SvgPlot plot("Probability, %", "How often it came true, %",
               "Reliability diagram before and after the adjustment; the diagonal is perfect.");
  const Points diagonal = {{0, 0}, {1, 1}};
  plot.line(diagonal, "ideal");
  for (const bool earlier : {true, false}) {
    const auto& bins = (earlier ? report.comparison.before : report.comparison.after).reliability;
    Points points;
    for (const ReliabilityBin& bin : bins)
      if (bin.samples > 0) points.emplace_back(bin.confidence, bin.share);
    plot.line(points, earlier ? "c0 before" : "c0");
    for (const ReliabilityBin& bin : bins)
      if (bin.samples > 0)
        plot.point(bin.confidence, bin.share, earlier ? "point c0 before" : "point c0",
                   fmt::format("{}: {} samples, probability {}%, true {}%", earlier ? "before" : "after", bin.samples,
                               percent(bin.confidence), percent(bin.share)),
                   point_radius(bin, report.comparison.samples));
  }
  return fmt::format("<figure>{}</figure>", std::move(plot).finish());
}

std::string reliability_text(const AdjustmentReport& report) {
  if (two_classes(report))
    return fmt::format("The probability of {} in 15 bins, and how often a sample in the bin is of this class.",
                       html_escape(name_of(report, static_cast<std::size_t>(*report.comparison.positive))));
  return "The probability of the most probable class in 15 bins, and how often the sample is of this class.";
}

/// The most frequent confusions, where a matrix would be too large to read.
std::string frequent_confusions(const AdjustmentReport& report) {
  struct Pair {
    std::int64_t count;
    std::size_t truth, predicted;
  };
  std::vector<Pair> pairs;
  const auto& confusion = report.comparison.after.confusion;
  for (std::size_t y = 0; y < confusion.size(); ++y)
    for (const auto& [j, count] : confusion[y])
      if (static_cast<std::size_t>(j) != y) pairs.push_back({count, y, static_cast<std::size_t>(j)});
  std::ranges::stable_sort(pairs, std::greater{}, &Pair::count);
  pairs.resize(std::min(pairs.size(), k_most_confusions));
  std::string text = table_start("numbers", "The most frequent confusions after the adjustment",
                                 {"True class", "Predicted", "Samples", "Before"});
  for (const Pair& pair : pairs) {
    const SparseCounts& row = report.comparison.before.confusion[pair.truth];
    const auto was = row.find(static_cast<std::int64_t>(pair.predicted));
    text += fmt::format(R"(<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>)",
                        html_escape(shorten(name_of(report, pair.truth), 40)),
                        html_escape(shorten(name_of(report, pair.predicted), 40)), group_digits(pair.count),
                        group_digits(was == row.end() ? 0 : was->second));
  }
  return text + std::string(k_table_end);
}

std::string confusion(const AdjustmentReport& report) {
  const std::vector<std::string>& names = report.adjustment.plan().class_names;
  if (names.size() > k_most_classes_written) return frequent_confusions(report);
  std::string text =
      names.size() > k_most_classes_side_by_side ? R"(<div class="matrices wide">)" : R"(<div class="matrices">)";
  for (const bool earlier : {true, false})
    text += fmt::format(
        "<figure><figcaption>{}</figcaption>{}</figure>", earlier ? "Before" : "After",
        confusion_table((earlier ? report.comparison.before : report.comparison.after).confusion, names,
                        fmt::format("Confusion {}, percent of the true class", earlier ? "before" : "after")));
  return text + "</div>";
}

std::string class_table(const AdjustmentReport& report) {
  std::string text =
      table_start("numbers", "Percent, before and after",
                  {"Class", "Samples", "Precision", "", "Recall", "", "Average precision", "", "Area under ROC", ""});
  for (std::size_t c = 0; c < report.comparison.after.classes.size(); ++c) {
    const ScoredClass &was = report.comparison.before.classes[c], &is = report.comparison.after.classes[c];
    const auto precision = [](const ScoredClass& side) {
      return side.predicted ? percent(side.decision.precision) : "-";
    };
    const auto recall = [](const ScoredClass& side) { return side.support > 0 ? percent(side.decision.recall) : "-"; };
    text += fmt::format(R"(<tr><th scope="row">{}</th><td>{}</td>)", html_escape(shorten(name_of(report, c), 40)),
                        group_digits(is.support));
    for (const std::string& cell : {precision(was), precision(is), recall(was), recall(is),
                                    percent(was.ranking.average_precision), percent(is.ranking.average_precision),
                                    percent(was.ranking.area_under_roc), percent(is.ranking.area_under_roc)})
      text += fmt::format("<td>{}</td>", cell);
    text += "</tr>";
  }
  return text + std::string(k_table_end);
}

std::string definitions(const AdjustmentReport& report) {
  std::string text = R"(<dl class="facts">)";
  text += fact("Balanced accuracy", "Mean recall of the classes.");
  text += fact("Matthews correlation", "Correlation of labels and predictions, -1 to 1; 0 is chance.");
  text += fact("Average precision",
               "Area under the precision-recall curve as a sum of steps; chance is the share of "
               "the class.");
  text += fact("Area under ROC",
               "The chance that a sample of the class has a higher probability than another; 50 is "
               "chance.");
  text += fact("Recall at a precision", fmt::format("The largest recall of any threshold with a precision of at least "
                                                    "{}.",
                                                    format_number(report.comparison.precision)));
  text += fact("Brier score", "Mean squared error of the probabilities.");
  text += fact("Expected calibration error",
               "Mean gap between the largest probability and how often it is right, in 15 "
               "bins.");
  text += fact("NLL", "Mean negative logarithm of the probability of the true class, in nats.");
  return text + "</dl>";
}

}  // namespace

std::string adjustment_html(const AdjustmentReport& report) {
  const std::vector<std::size_t> drawn = drawn_classes(report);
  return render_template(k_adjustment_page,
                         {{"scores", html_escape(printable(report.scores))},
                          {"samples", group_digits(report.comparison.samples)},
                          {"classes", group_digits(std::ssize(report.adjustment.plan().class_names))},
                          {"conclusion", html_escape(adjustment_conclusion(report))},
                          {"caption", html_escape(adjustment_caption(report))},
                          {"cards", cards(report)},
                          {"steps", steps(report)},
                          {"metrics", metrics_table(report)},
                          {"legend", legend(report, drawn)},
                          {"curves", curves(report, drawn)},
                          {"reliability_text", reliability_text(report)},
                          {"reliability", reliability(report)},
                          {"confusion", confusion(report)},
                          {"class_table", class_table(report)},
                          {"definitions", definitions(report)}});
}

}  // namespace ulmus
