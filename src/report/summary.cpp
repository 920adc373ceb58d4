#include "ulmus/report/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>

#include "model.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/version.h"

namespace ulmus {
namespace {

/// ordered: the file goes from the run to its results.
using nlohmann::ordered_json;

constexpr auto k_metrics = std::to_array<Metric>({
    {"balanced_accuracy", "Balanced accuracy", "Mean recall of the classes: every class counts the same.", true, true,
     [](const Evaluation& e) -> std::optional<double> { return e.balanced_accuracy; }},
    {"top1", "Top-1", "Share of samples whose first prediction is right.", true, true,
     [](const Evaluation& e) -> std::optional<double> { return e.top1; }},
    {"top5", "Top-5", "Share of samples whose class is among the first five predictions.", true, true,
     [](const Evaluation& e) -> std::optional<double> { return e.top5; }},
    {"macro_f1", "Macro F1", "Mean over the classes of the harmonic mean of precision and recall.", true, true,
     [](const Evaluation& e) -> std::optional<double> { return e.macro_f1; }},
    {"geometric_mean", "G-mean", "Geometric mean of the recalls: 0 as soon as one class is never recognised.", true,
     true, [](const Evaluation& e) -> std::optional<double> { return e.geometric_mean; }},
    {"many_shot", "Many-shot", "Mean recall of the classes with many training samples.", true, true,
     [](const Evaluation& e) { return e.many_shot; }},
    {"medium_shot", "Medium-shot", "Mean recall of the classes between many-shot and few-shot.", true, true,
     [](const Evaluation& e) { return e.medium_shot; }},
    {"few_shot", "Few-shot", "Mean recall of the classes with few training samples.", true, true,
     [](const Evaluation& e) { return e.few_shot; }},
    {"worst_class", "Worst class", "Recall of the class that is recognised least.", true, true,
     [](const Evaluation& e) -> std::optional<double> { return e.worst_class; }},
    {"ece", "ECE",
     "Expected calibration error: mean gap between the probability of the prediction and how often it is right, over "
     "15 equal bins.",
     false, true, [](const Evaluation& e) -> std::optional<double> { return e.ece; }},
    {"nll", "NLL", "Mean negative log-likelihood of the true class, in nats.", false, false,
     [](const Evaluation& e) -> std::optional<double> { return e.nll; }},
    {"mcc", "MCC", "Matthews correlation of labels and predictions, -1 to 1; 0 is chance.", true, false,
     [](const Evaluation& e) { return e.mcc; }, true},
    {"average_precision", "Average precision",
     "Area under the precision-recall curve of the class with fewer training samples; chance is its share.", true, true,
     [](const Evaluation& e) { return e.average_precision; }, true},
    {"roc_auc", "ROC AUC",
     "The chance that a sample of the class with fewer training samples has a higher probability than another.", true,
     true, [](const Evaluation& e) { return e.roc_auc; }, true},
    {"brier", "Brier score", "Mean squared error of the probabilities.", false, false,
     [](const Evaluation& e) { return e.brier; }, true},
});

MetricSummary summarize_metric(const Metric& metric, std::span<const Evaluation* const> seeds) {
  MetricSummary summary;
  std::vector<double> present;
  for (const Evaluation* evaluation : seeds) {
    summary.values.push_back(metric.value(*evaluation));
    if (summary.values.back()) present.push_back(*summary.values.back());
  }
  if (present.empty()) return summary;
  double sum = 0;
  for (const double value : present) sum += value;
  summary.mean = sum / static_cast<double>(present.size());
  summary.interval = mean_interval(present);
  return summary;
}

SetSummary summarize_set(std::span<const Evaluation* const> seeds, const std::vector<std::string>& class_names) {
  SetSummary summary;
  summary.samples = seeds.front()->samples;
  for (const Metric& metric : k_metrics) summary.metrics.push_back(summarize_metric(metric, seeds));
  for (const Evaluation* evaluation : seeds)
    summary.worst_classes.push_back(class_names[static_cast<std::size_t>(evaluation->worst_class_index)]);
  return summary;
}

LossSummary summarize_loss(std::span<const TrialResult> members, const std::vector<std::string>& class_names) {
  const TrialResult& first = members.front();
  LossSummary summary{.loss = first.loss,
                      .loss_full = first.loss_full,
                      .head = first.head,
                      .model = first.model,
                      .parameters = first.parameters,
                      .scale = first.scale,
                      .epochs = first.epochs,
                      .seeds = {},
                      .selections = {},
                      .seconds = 0,
                      .train = {},
                      .test = {},
                      .validation = {}};
  std::vector<const Evaluation*> train, test, validation;
  for (const TrialResult& member : members) {
    summary.seeds.push_back(member.seed);
    summary.seconds += member.seconds / static_cast<double>(members.size());
    train.push_back(&member.train);
    test.push_back(&member.test);
    if (member.validation) validation.push_back(&*member.validation);
    if (member.selection) summary.selections.push_back(*member.selection);
  }
  summary.train = summarize_set(train, class_names);
  summary.test = summarize_set(test, class_names);
  if (validation.size() == members.size()) summary.validation = summarize_set(validation, class_names);
  return summary;
}

/// Trials that have an epoch but no result, in the order of metrics.jsonl.
std::vector<std::string> unfinished_members(const RunFolder& run) {
  std::vector<std::string> unfinished;
  for (const EpochRecord& record : run.epochs) {
    const bool finished = std::any_of(run.results.begin(), run.results.end(), [&](const TrialResult& result) {
      return result.loss == record.loss && result.seed == record.seed;
    });
    std::string member = fmt::format("{}, seed {}", record.loss, record.seed);
    if (!finished && (unfinished.empty() || unfinished.back() != member)) unfinished.push_back(std::move(member));
  }
  return unfinished;
}

ordered_json json_or_null(const std::optional<double>& value) { return value ? ordered_json(*value) : ordered_json(); }

ordered_json set_json(const SetSummary& set) {
  ordered_json json = {{"samples", set.samples}};
  for (std::size_t i = 0; i < k_metrics.size(); ++i) {
    const MetricSummary& metric = set.metrics[i];
    ordered_json values = ordered_json::array();
    for (const auto& value : metric.values) values.push_back(json_or_null(value));
    ordered_json& entry = json[std::string(k_metrics[i].name)];
    entry = {{"mean", json_or_null(metric.mean)}, {"interval", ordered_json()}, {"values", std::move(values)}};
    if (metric.interval) entry["interval"] = {metric.interval->low, metric.interval->high};
    if (k_metrics[i].name == "worst_class") entry["classes"] = set.worst_classes;
  }
  return json;
}

ordered_json selections_json(const std::vector<Selection>& selections) {
  ordered_json json = ordered_json::array();
  for (const Selection& selection : selections)
    json.push_back({{"chosen", selection.chosen}, {"candidates", selection.candidates}});
  return json;
}

/// P(|T| <= sqrt(df) tan(theta)) for Student's T.
double student_t_inside(std::int64_t degrees_of_freedom, double theta) {
  const double cosine = std::cos(theta);
  const bool odd = degrees_of_freedom % 2 != 0;
  double term = odd ? cosine : 1;
  double series = degrees_of_freedom == 1 ? 0 : term;
  for (std::int64_t k = odd ? 3 : 2; k < degrees_of_freedom; k += 2) {
    term *= cosine * cosine * static_cast<double>(k - 1) / static_cast<double>(k);
    series += term;
  }
  const double sum = std::sin(theta) * series;
  return odd ? 2 / std::numbers::pi * (theta + sum) : sum;
}

}  // namespace

std::span<const Metric> metrics() { return k_metrics; }

std::size_t metric_index(std::string_view name) {
  for (std::size_t i = 0; i < k_metrics.size(); ++i)
    if (k_metrics[i].name == name) return i;
  std::vector<std::string> names;
  for (const Metric& metric : k_metrics) names.emplace_back(metric.name);
  throw Error(ErrorKind::usage, fmt::format("unknown metric '{}'; {}", name, suggest(name, names)));
}

double student_t_95(std::int64_t degrees_of_freedom) {
  if (degrees_of_freedom < 1)
    throw Error(ErrorKind::usage,
                fmt::format("Student's t has {} degrees of freedom, expected at least 1", degrees_of_freedom));
  double low = 0, high = std::numbers::pi / 2;
  for (double middle = high / 2; low < middle && middle < high; middle = low + (high - low) / 2)
    (student_t_inside(degrees_of_freedom, middle) < 0.95 ? low : high) = middle;
  return std::sqrt(static_cast<double>(degrees_of_freedom)) * std::tan(low);
}

std::optional<Interval> mean_interval(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const double n = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double half =
      student_t_95(static_cast<std::int64_t>(values.size()) - 1) * std::sqrt(squares / (n - 1)) / std::sqrt(n);
  return Interval{mean - half, mean + half};
}

Summary summarize(const RunFolder& run) {
  Summary summary;
  summary.version = ULMUS_VERSION;
  summary.command = run.command;
  summary.data = run.data;
  summary.data_sha256 = run.data_sha256;
  summary.split_sha256 = run.split_sha256;
  summary.imbalance = run.imbalance;
  summary.imbalance_ratio = ClassCounts(run.train_counts).imbalance_ratio();
  summary.validation_per_class = run.validation_per_class;
  summary.class_names = run.class_names;
  summary.train_counts = run.train_counts;
  summary.unfinished = unfinished_members(run);
  std::set<std::int64_t> seeds;
  for (const auto members : members_by_loss(run)) {
    for (const TrialResult& member : members) seeds.insert(member.seed);
    summary.losses.push_back(summarize_loss(members, run.class_names));
  }
  summary.seeds.assign(seeds.begin(), seeds.end());
  return summary;
}

std::string to_json(const Summary& summary) {
  ordered_json json = {{"schema_version", 1},
                       {"ulmus", summary.version},
                       {"command", summary.command},
                       {"data", summary.data},
                       {"data_sha256", summary.data_sha256},
                       {"split_sha256", summary.split_sha256},
                       {"imbalance", summary.imbalance},
                       {"imbalance_ratio", summary.imbalance_ratio},
                       {"validation_per_class", summary.validation_per_class},
                       {"class_names", summary.class_names},
                       {"train_counts", summary.train_counts},
                       {"seeds", summary.seeds},
                       {"epochs", summary.losses.front().epochs},
                       {"unfinished", summary.unfinished},
                       {"results", ordered_json::array()}};
  for (const LossSummary& loss : summary.losses)
    json["results"].push_back({{"loss", loss.loss},
                               {"loss_full", loss.loss_full},
                               {"head", loss.head},
                               {"model", loss.model},
                               {"parameters", loss.parameters},
                               {"scale", loss.scale},
                               {"seeds", loss.seeds},
                               {"seconds", loss.seconds},
                               {"selections", selections_json(loss.selections)},
                               {"test", set_json(loss.test)},
                               {"validation", loss.validation ? set_json(*loss.validation) : ordered_json()},
                               {"train", set_json(loss.train)}});
  return json.dump(1) + "\n";
}

}  // namespace ulmus
