#include "charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "phrases.hpp"
#include "ulmus/base/json.hpp"

namespace ulmus {
namespace {

constexpr std::size_t k_most_margin_bins = 48;
constexpr double k_negligible_share = 0.002;

/// Mean and range of a number over seeds; null if no seed has it.
class Band {
 public:
  void add(std::optional<double> value) {
    if (!value) return;
    sum_ += *value;
    low_ = std::min(low_, *value);
    high_ = std::max(high_, *value);
    ++count_;
  }
  void append_to(Json& json) const {
    const auto or_null = [&](double value) { return count_ == 0 ? Json() : Json(std::round(value * 1e5) / 1e5); };
    json["mean"].push_back(or_null(sum_ / std::max(count_, 1)));
    json["low"].push_back(or_null(low_));
    json["high"].push_back(or_null(high_));
  }

 private:
  double sum_ = 0;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
  int count_ = 0;
};

Json empty_band() { return {{"mean", Json::array()}, {"low", Json::array()}, {"high", Json::array()}}; }

/// Groups neighbouring classes, ordered by frequency, that share a point on the class axis.
std::vector<std::span<const std::size_t>> class_bins(const ClassOrder& order) {
  const std::span<const std::size_t> classes = order.by_count;
  const std::size_t size = block_size(classes.size(), k_most_class_bins);
  std::vector<std::span<const std::size_t>> bins;
  for (std::size_t begin = 0; begin < classes.size(); begin += size)
    bins.push_back(classes.subspan(begin, std::min(size, classes.size() - begin)));
  return bins;
}

/// `label` is short enough for an axis, `title` describes the content of the bin.
Json bins_json(const RunFolder& run, const std::vector<std::span<const std::size_t>>& bins, ShotThresholds thresholds) {
  Json json = {{"label", Json::array()}, {"title", Json::array()}, {"count", Json::array()}, {"shot", Json::array()}};
  for (const auto& bin : bins) {
    double count = 0;
    for (const std::size_t y : bin) count += static_cast<double>(run.train_counts[y]) / static_cast<double>(bin.size());
    const std::string& first = run.class_names[bin.front()];
    json["label"].push_back(first);
    json["title"].push_back(bin.size() == 1 ? first
                                            : fmt::format("{} classes, {} to {}", bin.size(), shorten(first, 24),
                                                          shorten(run.class_names[bin.back()], 24)));
    json["count"].push_back(std::round(count * 10) / 10);
    json["shot"].push_back(static_cast<int>(shot_group(std::llround(count), thresholds)));
  }
  return json;
}

Json recall_json(std::span<const TrialResult> members, const std::vector<std::span<const std::size_t>>& bins) {
  Json json = empty_band();
  for (const auto& bin : bins) {
    Band band;
    for (const TrialResult& member : members) band.add(group_recall(member.test, bin));
    band.append_to(json);
  }
  return json;
}

/// The learning curve of a loss: null without records. `from` is the epoch (from 1) at which deferred re-weighting
/// starts.
Json curve_json(const RunFolder& run, const std::string& loss, bool on_test) {
  struct Point {
    Band score, train_loss;
    bool reweighted = false;
  };
  std::map<std::int64_t, Point> points;
  for (const EpochRecord& record : run.epochs) {
    if (record.loss != loss) continue;
    Point& point = points[record.epoch];
    const std::optional<EpochScore>& score = on_test ? record.test : record.validation;
    if (score) point.score.add(score->balanced_accuracy);
    point.train_loss.add(record.train_loss);
    point.reweighted = point.reweighted || record.reweighted;
  }
  if (points.empty()) return nullptr;
  Json json = {{"epoch", Json::array()}, {"score", empty_band()}, {"train_loss", empty_band()}, {"from", nullptr}};
  for (const auto& [epoch, point] : points) {
    json["epoch"].push_back(epoch + 1);
    point.score.append_to(json["score"]);
    point.train_loss.append_to(json["train_loss"]);
    if (point.reweighted && json["from"].is_null() && !points.begin()->second.reweighted) json["from"] = epoch + 1;
  }
  return json;
}

/// Row-normalised confusion in blocks of neighbouring classes, in percent. [true][predicted]
Json matrix_json(const std::vector<SparseCounts>& confusion) {
  const std::size_t block = block_size(confusion.size(), k_most_matrix_cells);
  const std::size_t side = block_size(confusion.size(), block);
  std::vector<double> cells(side * side, 0);
  std::vector<double> rows(side, 0);
  for (std::size_t y = 0; y < confusion.size(); ++y) {
    const std::int64_t support = total_count(confusion[y]);
    if (support == 0) continue;
    rows[y / block] += 1;
    for (const auto& [j, count] : confusion[y])
      cells[y / block * side + static_cast<std::size_t>(j) / block] +=
          static_cast<double>(count) / static_cast<double>(support);
  }
  Json json = {{"side", side}, {"cells", Json::array()}};
  for (std::size_t i = 0; i < cells.size(); ++i)
    json["cells"].push_back(std::lround(100 * cells[i] / std::max(rows[i / side], 1.0)));
  return json;
}

/// Adds a histogram to one with coarser or equal edges, bin by bin by its centre; exact because edges are nested.
void add_histogram(std::vector<double>& sum, const std::vector<double>& sum_edges, const Evaluation& evaluation,
                   std::span<const std::size_t> classes) {
  const auto& edges = evaluation.margin_edges;
  std::vector<std::size_t> targets;
  for (std::size_t bin = 0; bin + 1 < edges.size(); ++bin) {
    const double centre = (edges[bin] + edges[bin + 1]) / 2;
    const auto above = std::upper_bound(sum_edges.begin() + 1, sum_edges.end() - 1, centre);
    targets.push_back(static_cast<std::size_t>(above - sum_edges.begin() - 1));
  }
  for (const std::size_t y : classes)
    for (const auto& [bin, count] : evaluation.classes[y].margin.histogram)
      sum[targets[static_cast<std::size_t>(bin)]] += static_cast<double>(count);
}

/// Drops the bins at both ends that are nearly empty in every curve, and joins the rest until they are few.
void trim_and_join(std::vector<double>& edges, const std::vector<MarginCurve*>& curves) {
  std::size_t begin = edges.size(), end = 0;
  for (const MarginCurve* curve : curves) {
    const double total = std::accumulate(curve->density.begin(), curve->density.end(), 0.0);
    for (std::size_t bin = 0; bin < curve->density.size(); ++bin)
      if (curve->density[bin] > k_negligible_share * total) {
        begin = std::min(begin, bin);
        end = std::max(end, bin + 1);
      }
  }
  std::size_t join = 1;
  while ((end - begin) / join > k_most_margin_bins) join *= 2;
  begin = begin / join * join;
  end = std::min((end + join - 1) / join * join, edges.size() - 1);
  std::vector<double> joined;
  for (std::size_t bin = begin; bin < end; bin += join) joined.push_back(edges[bin]);
  joined.push_back(edges[end]);
  for (MarginCurve* curve : curves) {
    std::vector<double> counts(joined.size() - 1, 0);
    for (std::size_t bin = begin; bin < end; ++bin) counts[(bin - begin) / join] += curve->density[bin];
    curve->density = std::move(counts);
  }
  edges = std::move(joined);
}

void normalise(MarginCurve& curve, double total, const std::vector<double>& edges) {
  for (std::size_t bin = 0; bin < curve.density.size(); ++bin)
    curve.density[bin] /= std::max(total, 1.0) * (edges[bin + 1] - edges[bin]);
}

/// Charts of the losses with the same head, whose margins therefore have the same unit.
void fill_margin_charts(const std::vector<std::pair<MarginChart*, std::span<const TrialResult>>>& charts,
                        const ClassOrder& order) {
  std::vector<double> edges = {0};
  for (const auto& [chart, members] : charts)
    for (const TrialResult& member : members)
      for (const Evaluation* evaluation : {&member.train, &member.test})
        if (evaluation->margin_edges.back() > edges.back()) edges = evaluation->margin_edges;

  std::vector<MarginCurve*> curves;
  std::vector<double> totals;
  for (const auto& [chart, members] : charts) {
    // Clang 14 cannot capture structured bindings.
    const auto pool = [&, members = members](MarginCurve& curve, Evaluation TrialResult::*set,
                                             std::span<const std::size_t> classes) {
      curve.density.assign(edges.size() - 1, 0);
      for (const TrialResult& member : members) add_histogram(curve.density, edges, member.*set, classes);
      const double total = std::accumulate(curve.density.begin(), curve.density.end(), 0.0);
      for (std::size_t bin = 0; bin + 1 < edges.size(); ++bin)
        if (edges[bin] + edges[bin + 1] < 0) curve.negative += curve.density[bin] / std::max(total, 1.0);
      curves.push_back(&curve);
      totals.push_back(total);
    };
    pool(chart->test_head, &TrialResult::test, order.head());
    pool(chart->test_tail, &TrialResult::test, order.tail());
    pool(chart->train_head, &TrialResult::train, order.head());
    pool(chart->train_tail, &TrialResult::train, order.tail());
  }
  trim_and_join(edges, curves);
  for (std::size_t i = 0; i < curves.size(); ++i) normalise(*curves[i], totals[i], edges);
  for (const auto& [chart, members] : charts)
    for (std::size_t bin = 0; bin + 1 < edges.size(); ++bin)
      chart->centres.push_back((edges[bin] + edges[bin + 1]) / 2);
}

Json rounded(const std::vector<double>& values) {
  Json json = Json::array();
  for (const double value : values) json.push_back(std::stod(fmt::format("{:.4g}", value)));
  return json;
}

}  // namespace

std::vector<MarginChart> margin_charts(const ReportModel& report) {
  const auto& losses = report.members;
  std::vector<MarginChart> charts(losses.size());
  std::map<std::string, std::vector<std::pair<MarginChart*, std::span<const TrialResult>>>> by_head;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::string& head = losses[i].front().head;
    charts[i].unit = head == "cosine" ? "cosine" : "logit";
    by_head[head].emplace_back(&charts[i], losses[i]);
  }
  for (const auto& [head, group] : by_head) fill_margin_charts(group, report.order);
  return charts;
}

ImportanceChart importance_chart(const ReportModel& report) {
  ImportanceChart chart;
  const auto& first = report.run.results.front().importance;
  if (!first) return chart;
  std::vector<std::vector<double>> gains;  // of each loss, of every column
  std::vector<double> sums(first->columns.size(), 0);
  for (const auto& members : report.members) {
    std::vector<double>& gain = gains.emplace_back(sums.size(), 0);
    for (const TrialResult& member : members) {
      if (!member.importance || member.importance->columns != first->columns) return chart;
      for (std::size_t c = 0; c < gain.size(); ++c)
        gain[c] += member.importance->gain[c] / static_cast<double>(members.size());
    }
    for (std::size_t c = 0; c < gain.size(); ++c) sums[c] += gain[c];
  }
  std::vector<std::size_t> order(sums.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return sums[a] > sums[b]; });
  std::erase_if(order, [&](std::size_t c) { return sums[c] <= 0; });
  if (order.size() > k_most_columns_drawn) {
    chart.left_out = order.size() - k_most_columns_drawn;
    order.resize(k_most_columns_drawn);
  }
  for (const std::size_t c : order) chart.columns.push_back(first->columns[c]);
  for (const std::vector<double>& of_loss : gains) {
    std::vector<double>& gain = chart.gain.emplace_back();
    for (const std::size_t c : order) gain.push_back(of_loss[c]);
  }
  return chart;
}

Json chart_data(const ReportModel& report, const std::vector<MarginChart>& margins) {
  const RunFolder& run = report.run;
  const auto bins = class_bins(report.order);
  const bool on_test = std::any_of(run.epochs.begin(), run.epochs.end(),
                                   [](const EpochRecord& record) { return record.test.has_value(); });
  Json data = {{"losses", Json::array()},  {"bins", bins_json(run, bins, run.results.front().test.thresholds)},
               {"recall", Json::array()},  {"curves", Json::array()},
               {"margins", Json::array()}, {"matrices", Json::array()},
               {"importance", nullptr}};
  for (std::size_t i = 0; i < report.members.size(); ++i) {
    const std::string& loss = report.summary.losses[i].loss;
    data["losses"].push_back(loss);
    data["recall"].push_back(recall_json(report.members[i], bins));
    data["curves"].push_back(curve_json(run, loss, on_test));
    data["margins"].push_back({{"unit", margins[i].unit},
                               {"centres", rounded(margins[i].centres)},
                               {"test_head", rounded(margins[i].test_head.density)},
                               {"test_tail", rounded(margins[i].test_tail.density)},
                               {"train_head", rounded(margins[i].train_head.density)},
                               {"train_tail", rounded(margins[i].train_tail.density)}});
    if (run.class_names.size() > k_most_classes_written) data["matrices"].push_back(matrix_json(report.confusions[i]));
  }
  if (const ImportanceChart importance = importance_chart(report); !importance.columns.empty()) {
    Json gain = Json::array();
    for (const std::vector<double>& of_loss : importance.gain) gain.push_back(rounded(of_loss));
    data["importance"] = {{"columns", importance.columns}, {"gain", gain}};
  }
  return data;
}

}  // namespace ulmus
