#include "ulmus/eval/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/eval/evaluator.hpp"
#include "ulmus/eval/score_metrics.hpp"

namespace ulmus {
namespace {

constexpr std::array k_quantiles = {0.05, 0.25, 0.50, 0.75, 0.95};
constexpr std::size_t k_most_ranked = std::size_t{1} << 25;

[[noreturn]] void throw_empty() {
  throw Error(ErrorKind::data, "cannot evaluate an empty set; give at least one sample");
}

/// `begin` is the position of the first row, for the error message.
void check(const MatrixView<const float>& logits, std::span<const std::int64_t> labels, const ClassCounts& counts,
           const EvaluationOptions& options, std::int64_t begin) {
  const std::int64_t samples = static_cast<std::int64_t>(labels.size());
  if (logits.rows != samples)
    throw Error(
        ErrorKind::data,
        fmt::format("cannot evaluate {} rows of logits against {} labels; give one label a row", logits.rows, samples));
  if (samples == 0) throw_empty();
  if (logits.columns != counts.classes())
    throw Error(ErrorKind::data,
                fmt::format("logits have {} columns but there are {} class counts; give one count a class",
                            logits.columns, counts.classes()));
  if (logits.columns < 2)
    throw Error(ErrorKind::data,
                "cannot evaluate one class, a margin needs a rival; give logits of at least 2 classes");
  if (logits.row_stride < logits.columns || logits.empty())
    throw Error(ErrorKind::data,
                fmt::format("logits have a row stride of {} for {} columns; give a stride of at least the columns",
                            logits.row_stride, logits.columns));
  if (!(options.scale > 0) || !std::isfinite(options.scale))
    throw Error(ErrorKind::usage, fmt::format("evaluation scale is {}, expected a positive number", options.scale));
  if (options.margin_bins < 2 || options.margin_bins % 2 != 0)
    throw Error(ErrorKind::usage,
                fmt::format("margin_bins is {}, expected an even number of at least 2", options.margin_bins));
  for (std::int64_t i = 0; i < samples; ++i)
    if (labels[i] < 0 || labels[i] >= logits.columns)
      throw Error(ErrorKind::data, fmt::format("label {} at position {} is out of range; expected 0 to {}", labels[i],
                                               begin + i, logits.columns - 1));
}

struct RowResult {
  std::int64_t predicted = 0;
  std::int64_t rank = 0;  ///< number of classes that rank above the true one
  double margin = 0;
  double confidence = 0;  ///< probability of the predicted class
  double nll = 0;
  double squared_error = 0;  ///< sum over the classes of (p[j] - [y = j])^2
};

/// Two passes: comparisons, then exponentials. `row` is for the error message. Probabilities are written to `p` [C],
/// unless it is empty.
RowResult evaluate_row(const float* z, std::int64_t classes, std::int64_t label, double scale, std::int64_t row,
                       std::span<double> p) {
  const float truth = z[label];
  std::int64_t predicted = 0;
  std::int64_t rank = 0;
  float rival = label == 0 ? z[1] : z[0];
  for (std::int64_t j = 0; j < classes; ++j) {
    if (!std::isfinite(z[j]))
      throw Error(ErrorKind::numerical,
                  fmt::format("logit of row {}, class {} is {}; expected finite logits, lower the "
                              "learning rate or look for bad inputs",
                              row, j, z[j]));
    if (z[j] > z[predicted]) predicted = j;
    if (j == label) continue;
    rival = std::max(rival, z[j]);
    rank += z[j] > truth || (z[j] == truth && j < label);
  }
  double sum = 0, squares = 0;
  const double top = static_cast<double>(z[predicted]);
  for (std::int64_t j = 0; j < classes; ++j) {
    const double e = std::exp(scale * (static_cast<double>(z[j]) - top));
    sum += e;
    squares += e * e;
    if (!p.empty()) p[static_cast<std::size_t>(j)] = e;
  }
  for (double& probability : p) probability /= sum;
  const double of_truth = std::exp(scale * (static_cast<double>(truth) - top)) / sum;
  return {.predicted = predicted,
          .rank = rank,
          .margin = static_cast<double>(truth) - static_cast<double>(rival),
          .confidence = 1 / sum,
          .nll = std::log(sum) + scale * (top - static_cast<double>(truth)),
          .squared_error = squares / (sum * sum) - 2 * of_truth + 1};
}

/// A running mean; absent without values.
class Mean {
 public:
  void add(double value) {
    sum_ += value;
    ++count_;
  }
  std::optional<double> value() const {
    if (count_ == 0) return std::nullopt;
    return sum_ / static_cast<double>(count_);
  }

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

std::vector<double> margin_edges(const std::vector<std::vector<double>>& margins, std::int64_t bins) {
  double largest = 0;
  for (const auto& of_class : margins)
    for (const double margin : of_class) largest = std::max(largest, std::abs(margin));
  int exponent = 0;
  const double mantissa = std::frexp(largest, &exponent);
  const double limit = largest == 0 ? 1 : std::ldexp(1, mantissa == 0.5 ? exponent - 1 : exponent);
  std::vector<double> edges;
  for (std::int64_t i = 0; i <= bins; ++i)
    edges.push_back(limit * static_cast<double>(2 * i - bins) / static_cast<double>(bins));
  return edges;
}

MarginDistribution distribution(std::vector<double> margins, const std::vector<double>& edges) {
  MarginDistribution result;
  if (margins.empty()) return result;
  const double width = edges[1] - edges[0];
  const auto last = static_cast<std::int64_t>(edges.size()) - 2;
  double sum = 0;
  for (const double margin : margins) {
    sum += margin;
    const auto bin = static_cast<std::int64_t>(std::floor((margin - edges.front()) / width));
    ++result.histogram[std::clamp<std::int64_t>(bin, 0, last)];
  }
  result.mean = sum / static_cast<double>(margins.size());
  std::sort(margins.begin(), margins.end());
  for (const double quantile : k_quantiles) {
    const double position = quantile * static_cast<double>(margins.size() - 1);
    const auto lower = static_cast<std::size_t>(position);
    const std::size_t upper = std::min(lower + 1, margins.size() - 1);
    result.quantiles.push_back(std::lerp(margins[lower], margins[upper], position - static_cast<double>(lower)));
  }
  return result;
}

/// Computes the results of each class from the confusion matrix; the caller adds the margins.
std::vector<ClassResult> class_results(const std::vector<SparseCounts>& confusion, const ClassCounts& counts) {
  const std::size_t classes = confusion.size();
  std::vector<std::int64_t> predicted(classes, 0), correct(classes, 0);
  std::vector<ClassResult> results(classes);
  for (std::size_t y = 0; y < classes; ++y) {
    results[y].train_count = counts[static_cast<std::int64_t>(y)];
    for (const auto& [j, count] : confusion[y]) {
      const auto of_class = static_cast<std::size_t>(j);
      results[y].support += count;
      predicted[of_class] += count;
      if (of_class == y) correct[y] = count;
    }
  }
  for (std::size_t y = 0; y < classes; ++y) {
    const double hits = static_cast<double>(correct[y]);
    if (predicted[y] > 0) results[y].precision = hits / static_cast<double>(predicted[y]);
    if (results[y].support == 0) continue;
    results[y].recall = hits / static_cast<double>(results[y].support);
    results[y].f1 = 2 * hits / static_cast<double>(results[y].support + predicted[y]);
  }
  return results;
}

/// Computes the averages over classes from their results.
void average(Evaluation& evaluation, ShotThresholds thresholds) {
  Mean recall, f1, log_recall, many, medium, few;
  evaluation.worst_class = std::numeric_limits<double>::infinity();
  for (std::size_t y = 0; y < evaluation.classes.size(); ++y) {
    const ClassResult& result = evaluation.classes[y];
    if (result.support == 0) continue;
    recall.add(*result.recall);
    f1.add(*result.f1);
    log_recall.add(std::log(*result.recall));
    if (*result.recall < evaluation.worst_class) {
      evaluation.worst_class = *result.recall;
      evaluation.worst_class_index = static_cast<std::int64_t>(y);
    }
    const ShotGroup group = shot_group(result.train_count, thresholds);
    (group == ShotGroup::many ? many : group == ShotGroup::medium ? medium : few).add(*result.recall);
  }
  evaluation.balanced_accuracy = recall.value().value();
  evaluation.macro_f1 = f1.value().value();
  evaluation.geometric_mean = std::exp(log_recall.value().value());
  evaluation.many_shot = many.value();
  evaluation.medium_shot = medium.value();
  evaluation.few_shot = few.value();
  evaluation.thresholds = thresholds;
}

/// Metrics of ranking, from all probabilities.
void rank(Evaluation& evaluation, const ScoreMatrix& probabilities, std::span<const std::int64_t> labels,
          const ClassCounts& counts) {
  std::vector<std::optional<double>> precisions, areas;
  for (std::int64_t c = 0; c < probabilities.classes; ++c) {
    const RankingMetrics metrics = RankedScores(probabilities, labels, c).metrics(1);
    ClassResult& result = evaluation.classes[static_cast<std::size_t>(c)];
    result.average_precision = metrics.average_precision;
    result.roc_auc = metrics.area_under_roc;
    precisions.push_back(metrics.average_precision);
    areas.push_back(metrics.area_under_roc);
  }
  if (probabilities.classes == 2) {
    const ClassResult& rarer = evaluation.classes[counts[0] < counts[1] ? 0 : 1];
    evaluation.average_precision = rarer.average_precision;
    evaluation.roc_auc = rarer.roc_auc;
    return;
  }
  evaluation.average_precision = macro_mean(precisions);
  evaluation.roc_auc = macro_mean(areas);
}

Json json_or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::optional<double> optional_number(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<double>();
}

/// A number that files of earlier versions lack.
std::optional<double> later_number(const Json& json, const char* name) {
  return json.contains(name) ? optional_number(json.at(name)) : std::nullopt;
}

}  // namespace

namespace detail {

void Calibration::add(double confidence, bool correct, double weight) {
  const auto bin = static_cast<std::int64_t>(std::ceil(confidence * k_bins)) - 1;
  gap_[static_cast<std::size_t>(std::clamp<std::int64_t>(bin, 0, k_bins - 1))] +=
      weight * (confidence - (correct ? 1 : 0));
}

double Calibration::error(double samples) const {
  double sum = 0;
  for (const double gap : gap_) sum += std::abs(gap);
  return sum / samples;
}

Evaluator::Evaluator(ClassCounts train_counts, EvaluationOptions options)
    : counts_(std::move(train_counts)),
      options_(options),
      margins_(static_cast<std::size_t>(counts_.classes())),
      ranks_(options.ranking || counts_.classes() == 2) {
  evaluation_.confusion.resize(margins_.size());
  probabilities_.classes = counts_.classes();
}

void Evaluator::add(MatrixView<const float> logits, std::span<const std::int64_t> labels) {
  check(logits, labels, counts_, options_, evaluation_.samples);
  keep(labels);
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const auto label = static_cast<std::size_t>(labels[i]);
    const std::int64_t place = evaluation_.samples + i;
    const RowResult row = evaluate_row(logits.row(i), logits.columns, labels[i], options_.scale, place,
                                       ranks_ ? probabilities_.row(place) : std::span<double>());
    ++evaluation_.confusion[label][row.predicted];
    margins_[label].push_back(row.margin);
    calibration_.add(row.confidence, row.rank == 0);
    first_ += row.rank < 1;
    in_five_ += row.rank < 5;
    nll_ += row.nll;
    squared_error_ += row.squared_error;
  }
  evaluation_.samples += logits.rows;
}

/// Makes room for the probabilities of further rows, or gives up keeping them.
void Evaluator::keep(std::span<const std::int64_t> labels) {
  if (!ranks_) return;
  labels_.insert(labels_.end(), labels.begin(), labels.end());
  const std::size_t size = labels_.size() * margins_.size();
  if (size <= k_most_ranked) return probabilities_.values.resize(size);
  ranks_ = false;
  labels_ = {};
  probabilities_.values = {};
}

Evaluation Evaluator::finish() {
  if (evaluation_.samples == 0) throw_empty();
  const auto samples = static_cast<double>(evaluation_.samples);
  evaluation_.top1 = static_cast<double>(first_) / samples;
  evaluation_.top5 = static_cast<double>(in_five_) / samples;
  evaluation_.ece = calibration_.error(samples);
  evaluation_.nll = nll_ / samples;
  evaluation_.brier = squared_error_ / samples / (margins_.size() == 2 ? 2 : 1);
  evaluation_.mcc = matthews_correlation(evaluation_.confusion);
  evaluation_.classes = class_results(evaluation_.confusion, counts_);
  evaluation_.margin_edges = margin_edges(margins_, options_.margin_bins);
  for (std::size_t y = 0; y < margins_.size(); ++y)
    evaluation_.classes[y].margin = distribution(std::move(margins_[y]), evaluation_.margin_edges);
  average(evaluation_, options_.thresholds);
  if (ranks_) rank(evaluation_, probabilities_, labels_, counts_);
  return std::move(evaluation_);
}

}  // namespace detail

Evaluation evaluate(MatrixView<const float> logits, std::span<const std::int64_t> labels,
                    const ClassCounts& train_counts, const EvaluationOptions& options) {
  detail::Evaluator evaluator(train_counts, options);
  evaluator.add(logits, labels);
  return evaluator.finish();
}

void to_json(Json& json, const Evaluation& evaluation) {
  json = {{"samples", evaluation.samples},
          {"top1", evaluation.top1},
          {"top5", evaluation.top5},
          {"balanced_accuracy", evaluation.balanced_accuracy},
          {"macro_f1", evaluation.macro_f1},
          {"geometric_mean", evaluation.geometric_mean},
          {"worst_class", evaluation.worst_class},
          {"worst_class_index", evaluation.worst_class_index},
          {"many_shot", json_or_null(evaluation.many_shot)},
          {"medium_shot", json_or_null(evaluation.medium_shot)},
          {"few_shot", json_or_null(evaluation.few_shot)},
          {"thresholds",
           {{"many_above", evaluation.thresholds.many_above}, {"few_below", evaluation.thresholds.few_below}}},
          {"ece", evaluation.ece},
          {"nll", evaluation.nll},
          {"mcc", json_or_null(evaluation.mcc)},
          {"brier", json_or_null(evaluation.brier)},
          {"average_precision", json_or_null(evaluation.average_precision)},
          {"roc_auc", json_or_null(evaluation.roc_auc)},
          {"confusion", evaluation.confusion},
          {"margin_edges", evaluation.margin_edges}};
  Json classes = Json::array();
  for (const ClassResult& result : evaluation.classes)
    classes.push_back({{"train_count", result.train_count},
                       {"support", result.support},
                       {"precision", json_or_null(result.precision)},
                       {"recall", json_or_null(result.recall)},
                       {"f1", json_or_null(result.f1)},
                       {"average_precision", json_or_null(result.average_precision)},
                       {"roc_auc", json_or_null(result.roc_auc)},
                       {"margin",
                        {{"mean", result.margin.mean},
                         {"quantiles", result.margin.quantiles},
                         {"histogram", result.margin.histogram}}}});
  json["classes"] = std::move(classes);
}

void from_json(const Json& json, Evaluation& evaluation) {
  json.at("samples").get_to(evaluation.samples);
  json.at("top1").get_to(evaluation.top1);
  json.at("top5").get_to(evaluation.top5);
  json.at("balanced_accuracy").get_to(evaluation.balanced_accuracy);
  json.at("macro_f1").get_to(evaluation.macro_f1);
  json.at("geometric_mean").get_to(evaluation.geometric_mean);
  json.at("worst_class").get_to(evaluation.worst_class);
  json.at("worst_class_index").get_to(evaluation.worst_class_index);
  evaluation.many_shot = optional_number(json.at("many_shot"));
  evaluation.medium_shot = optional_number(json.at("medium_shot"));
  evaluation.few_shot = optional_number(json.at("few_shot"));
  json.at("thresholds").at("many_above").get_to(evaluation.thresholds.many_above);
  json.at("thresholds").at("few_below").get_to(evaluation.thresholds.few_below);
  json.at("ece").get_to(evaluation.ece);
  json.at("nll").get_to(evaluation.nll);
  evaluation.mcc = later_number(json, "mcc");
  evaluation.brier = later_number(json, "brier");
  evaluation.average_precision = later_number(json, "average_precision");
  evaluation.roc_auc = later_number(json, "roc_auc");
  json.at("confusion").get_to(evaluation.confusion);
  json.at("margin_edges").get_to(evaluation.margin_edges);
  evaluation.classes.clear();
  for (const Json& entry : json.at("classes")) {
    ClassResult& result = evaluation.classes.emplace_back();
    entry.at("train_count").get_to(result.train_count);
    entry.at("support").get_to(result.support);
    result.precision = optional_number(entry.at("precision"));
    result.recall = optional_number(entry.at("recall"));
    result.f1 = optional_number(entry.at("f1"));
    result.average_precision = later_number(entry, "average_precision");
    result.roc_auc = later_number(entry, "roc_auc");
    const Json& margin = entry.at("margin");
    margin.at("mean").get_to(result.margin.mean);
    margin.at("quantiles").get_to(result.margin.quantiles);
    margin.at("histogram").get_to(result.margin.histogram);
  }
}

}  // namespace ulmus
