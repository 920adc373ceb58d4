#include "ulmus/report/adjustment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adjustment_text.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

const ComparedMetric& metric_of(const ScoreComparison& comparison, std::string_view name) {
  return *std::ranges::find(comparison.metrics, name, &ComparedMetric::name);
}

/// The metric that the adjustment is about: what thresholds maximise, the cost, or balanced accuracy.
const ComparedMetric& main_metric(const AdjustmentReport& report) {
  const AdjustmentPlan& plan = report.adjustment.plan();
  const ScoreComparison& comparison = report.comparison;
  if (!plan.maximise) return metric_of(comparison, plan.costs ? "cost" : "balanced_accuracy");
  switch (plan.maximise->kind) {
    case ThresholdMetric::Kind::f1:
      return metric_of(comparison, plan.class_names.size() == 2 ? "f1" : "macro_f1");
    case ThresholdMetric::Kind::mcc:
      return metric_of(comparison, "mcc");
    case ThresholdMetric::Kind::cost:
      return metric_of(comparison, "cost");
    case ThresholdMetric::Kind::recall_at_precision:
      return metric_of(comparison, plan.class_names.size() == 2 ? "recall" : "balanced_accuracy");
    case ThresholdMetric::Kind::balanced:
      break;
  }
  return metric_of(comparison, "balanced_accuracy");
}

Json json_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }
Json json_or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json to_json(const Estimate& estimate) {
  return {{"value", json_or_null(estimate.value)},
          {"low", json_or_null(estimate.low)},
          {"high", json_or_null(estimate.high)}};
}

Json to_json(const ScoredSide& side) {
  Json classes = Json::array(), bins = Json::array();
  for (const ScoredClass& of_class : side.classes)
    classes.push_back({{"support", of_class.support},
                       {"precision", of_class.predicted ? Json(of_class.decision.precision) : Json()},
                       {"recall", of_class.support > 0 ? Json(of_class.decision.recall) : Json()},
                       {"average_precision", json_or_null(of_class.ranking.average_precision)},
                       {"roc_auc", json_or_null(of_class.ranking.area_under_roc)},
                       {"recall_at_precision", json_or_null(of_class.ranking.recall_at_precision)}});
  for (const ReliabilityBin& bin : side.reliability)
    bins.push_back({{"samples", bin.samples}, {"confidence", bin.confidence}, {"share", bin.share}});
  return {{"classes", classes}, {"confusion", side.confusion}, {"reliability", bins}};
}

}  // namespace

std::string metric_number(const ComparedMetric& metric, double value) {
  if (!std::isfinite(value)) return "-";
  return metric.fraction ? fmt::format("{:.1f}", 100 * value) : fmt::format("{:.3g}", value);
}

std::string change_number(const ComparedMetric& metric, double value) {
  if (!std::isfinite(value)) return "-";
  return metric.fraction ? fmt::format("{:+.1f}", 100 * value) : fmt::format("{:+.3g}", value);
}

std::string interval_text(const ComparedMetric& metric, const Estimate& estimate, bool with_sign) {
  if (!std::isfinite(estimate.low)) return "";
  const auto number = with_sign ? change_number : metric_number;
  return fmt::format("{} to {}", number(metric, estimate.low), number(metric, estimate.high));
}

std::string adjustment_conclusion(const AdjustmentReport& report) {
  const ComparedMetric& metric = main_metric(report);
  std::string label = metric.label;
  label[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(label[0])));
  const std::string unit = metric.fraction ? "%" : "";
  const std::string sentence =
      fmt::format("{}: {}{} before, {}{} after", label, metric_number(metric, metric.before.value), unit,
                  metric_number(metric, metric.after.value), unit);
  const std::string interval = interval_text(metric, metric.change, true);
  return fmt::format("{}, a change of {}{}{}.", sentence, change_number(metric, metric.change.value),
                     metric.fraction ? " points" : "",
                     interval.empty() ? "" : fmt::format(" (95% interval {})", interval));
}

std::string adjustment_caption(const AdjustmentReport& report) {
  const ScoreComparison& comparison = report.comparison;
  std::string text = fmt::format("{} samples of {}.", comparison.samples, printable(report.scores));
  if (comparison.resamples > 0)
    text += fmt::format(
        " Intervals are 95% percentile intervals of {} bootstrap samples drawn within the classes, the same before and "
        "after.",
        comparison.resamples);
  if (report.validation) text += fmt::format(" What was fitted was fitted on {}.", printable(*report.validation));
  return text;
}

std::string adjustment_table(const AdjustmentReport& report) {
  const std::vector<std::string> titles = {"metric",       "before", "95% interval", "after",
                                           "95% interval", "change", "95% interval"};
  std::vector<std::vector<std::string>> rows = {titles};
  for (const ComparedMetric& metric : report.comparison.metrics)
    rows.push_back({metric.label, metric_number(metric, metric.before.value), interval_text(metric, metric.before),
                    metric_number(metric, metric.after.value), interval_text(metric, metric.after),
                    change_number(metric, metric.change.value), interval_text(metric, metric.change, true)});
  std::vector<std::size_t> widths(titles.size(), 0);
  for (const auto& row : rows)
    for (std::size_t k = 0; k < row.size(); ++k) widths[k] = std::max(widths[k], row[k].size());

  std::string text;
  for (const std::string& step : report.adjustment.steps()) text += step + "\n";
  text += "\n";
  for (const auto& row : rows) {
    text += fmt::format("{:<{}}", row[0], widths[0]);
    for (std::size_t k = 1; k < row.size(); ++k) text += fmt::format("  {:>{}}", row[k], widths[k]);
    text += "\n";
  }
  return text + "\n" + adjustment_conclusion(report) + "\n" + adjustment_caption(report) + "\n";
}

std::string to_json(const AdjustmentReport& report) {
  const AdjustmentPlan& plan = report.adjustment.plan();
  const ScoreComparison& comparison = report.comparison;
  Json metrics = Json::object();
  for (const ComparedMetric& metric : comparison.metrics)
    metrics[metric.name] = {
        {"before", to_json(metric.before)}, {"after", to_json(metric.after)}, {"change", to_json(metric.change)}};
  const auto& thresholds = report.adjustment.thresholds();
  Json json = {{"schema_version", 1},
               {"scores", report.scores},
               {"validation", report.validation ? Json(*report.validation) : Json()},
               {"samples", comparison.samples},
               {"class_names", plan.class_names},
               {"steps", report.adjustment.steps()},
               {"temperature", json_or_null(plan.temperature)},
               {"trained_prior", plan.trained_prior.empty() ? Json() : Json(plan.trained_prior)},
               {"prior", plan.prior.empty() ? Json() : Json(plan.prior)},
               {"positive",
                comparison.positive ? Json(plan.class_names[static_cast<std::size_t>(*comparison.positive)]) : Json()},
               {"offsets", thresholds ? Json(thresholds->offsets) : Json()},
               {"maximise", plan.maximise ? Json(plan.maximise->text()) : Json()},
               {"fitted_value", plan.maximise ? Json(thresholds->value) : Json()},
               {"resamples", comparison.resamples},
               {"precision", comparison.precision},
               {"metrics", metrics},
               {"before", to_json(comparison.before)},
               {"after", to_json(comparison.after)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ulmus
