#include "ulmus/eval/thresholds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "eval/threshold_sums.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"

namespace ulmus {
namespace {

using detail::ThresholdSums;

constexpr int k_most_sweeps = 50;
constexpr double k_gain = 1e-12;  ///< smaller gains are rounding
constexpr double k_tie = 1e-10;
constexpr double k_smallest_mean = 1e-300;  ///< mean probability, of a class whose logits are far below the others

/// The two best classes of a sample under the current offsets; the lower class on a tie.
struct TopTwo {
  std::size_t first = 0, second = 0;
  double first_score = -std::numeric_limits<double>::infinity();
  double second_score = -std::numeric_limits<double>::infinity();

  static bool above(double score, std::size_t j, double other_score, std::size_t other) {
    return score > other_score || (score == other_score && j < other);
  }
  void insert(std::size_t j, double score) {
    if (above(score, j, first_score, first)) {
      second = std::exchange(first, j);
      second_score = std::exchange(first_score, score);
    } else if (above(score, j, second_score, second)) {
      second = j;
      second_score = score;
    }
  }
};

/// Samples by which offsets are chosen, with the predictions under the current ones.
class ThresholdFit {
 public:
  ThresholdFit(const ScoreMatrix& logs, std::span<const std::int64_t> labels, const CostMatrix* costs,
               const ThresholdSums& metric)
      : logs_(logs),
        labels_(labels),
        costs_(costs),
        metric_(metric),
        classes_(static_cast<std::size_t>(logs.classes)),
        top_(labels.size()) {}

  /// Coordinate ascent from these offsets; returns the value reached.
  double ascend(std::vector<double> start) {
    offsets_ = std::move(start);
    for (std::size_t i = 0; i < top_.size(); ++i) scan(i);
    double value = current_value();
    for (int sweep = 0; sweep < k_most_sweeps; ++sweep) {
      const double before = value;
      for (std::size_t j = classes_ == 2 ? 1 : 0; j < classes_; ++j) {
        const auto [offset, reached] = best_offset(j);
        if (reached <= value + k_gain) continue;
        move(j, offset);
        value = current_value();
      }
      if (value <= before + k_gain) break;
    }
    return value;
  }

  const std::vector<double>& offsets() const { return offsets_; }

 private:
  struct Counts {
    std::vector<double> hits, predicted;
    double cost = 0;  ///< sum
  };
  struct Turn {
    double at = 0;  ///< the offset of the class above which the sample is of the class
    std::uint32_t sample = 0;
    std::uint32_t rival = 0;  ///< its class below
  };

  std::size_t label(std::size_t i) const { return static_cast<std::size_t>(labels_[i]); }
  double log(std::size_t i, std::size_t j) const { return logs_.values[i * classes_ + j]; }
  double cost(std::size_t truth, std::size_t predicted) const {
    return costs_ ? costs_->values[truth * classes_ + predicted] : 0;
  }

  void scan(std::size_t i) {
    TopTwo top;
    top.first = top.second = classes_;
    for (std::size_t j = 0; j < classes_; ++j) top.insert(j, log(i, j) + offsets_[j]);
    top_[i] = top;
  }

  /// Changes an offset. A sample is scanned again only if the class was one of its two best and no longer beats the
  /// others for certain.
  void move(std::size_t j, double offset) {
    const bool rises = offset > std::exchange(offsets_[j], offset);
    for (std::size_t i = 0; i < top_.size(); ++i) {
      TopTwo& top = top_[i];
      const double score = log(i, j) + offset;
      if (top.first == j) {
        if (TopTwo::above(score, j, top.second_score, top.second))
          top.first_score = score;
        else
          scan(i);
      } else if (top.second == j) {
        if (!rises) {
          scan(i);
          continue;
        }
        top.second_score = score;
        if (TopTwo::above(score, j, top.first_score, top.first)) {
          std::swap(top.first, top.second);
          std::swap(top.first_score, top.second_score);
        }
      } else {
        top.insert(j, score);
      }
    }
  }

  template <class PredictedOf>
  Counts count(PredictedOf predicted_of) const {
    Counts counts{std::vector<double>(classes_, 0), std::vector<double>(classes_, 0)};
    for (std::size_t i = 0; i < top_.size(); ++i) {
      const std::size_t predicted = predicted_of(i);
      counts.hits[predicted] += predicted == label(i) ? 1 : 0;
      counts.predicted[predicted] += 1;
      counts.cost += cost(label(i), predicted);
    }
    return counts;
  }

  static void add(ThresholdSums::Sums& sums, const ThresholdSums::Sums& term, double sign) {
    for (std::size_t p = 0; p < sums.size(); ++p) sums[p] += sign * term[p];
  }

  ThresholdSums::Sums sums_of(const Counts& counts) const {
    ThresholdSums::Sums sums{};
    for (std::size_t c = 0; c < classes_; ++c) add(sums, metric_.term(c, counts.hits[c], counts.predicted[c]), 1);
    return sums;
  }

  double value_of(const ThresholdSums::Sums& sums, double cost_sum) const {
    return metric_.value(sums, cost_sum / static_cast<double>(top_.size()));
  }

  double current_value() const {
    const Counts counts = count([&](std::size_t i) { return top_[i].first; });
    return value_of(sums_of(counts), counts.cost);
  }

  /// The samples in the order in which they become of class j as its offset rises.
  std::vector<Turn> turns_of(std::size_t j) const {
    std::vector<Turn> turns(top_.size());
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const bool leads = top_[i].first == j;
      turns[i] = {(leads ? top_[i].second_score : top_[i].first_score) - log(i, j), static_cast<std::uint32_t>(i),
                  static_cast<std::uint32_t>(leads ? top_[i].second : top_[i].first)};
    }
    std::ranges::sort(
        turns, [](const Turn& a, const Turn& b) { return std::pair(a.at, a.sample) < std::pair(b.at, b.sample); });
    return turns;
  }

  /// The best offset of class j, of all that there are, and its value.
  std::pair<double, double> best_offset(std::size_t j) const {
    const std::vector<Turn> turns = turns_of(j);
    Counts counts = count([&](std::size_t i) { return top_[i].first == j ? top_[i].second : top_[i].first; });
    ThresholdSums::Sums sums = sums_of(counts);
    std::vector<std::pair<double, double>> choices;  // offset, value
    double best = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k <= turns.size(); ++k) {
      const double low = k == 0 ? turns.front().at - 2 : turns[k - 1].at;
      const double high = k == turns.size() ? turns.back().at + 2 : turns[k].at;
      const double offset = (low + high) / 2;
      if (high - low > 1e-12 * std::max(1.0, std::abs(offset))) {
        choices.emplace_back(offset, value_of(sums, counts.cost));
        best = std::max(best, choices.back().second);
      }
      if (k == turns.size()) break;
      const auto [at, sample, rival] = turns[k];
      const std::size_t truth = label(sample);
      for (const std::size_t c : {std::size_t{rival}, j})
        add(sums, metric_.term(c, counts.hits[c], counts.predicted[c]), -1);
      counts.predicted[rival] -= 1;
      counts.hits[rival] -= rival == truth ? 1 : 0;
      counts.predicted[j] += 1;
      counts.hits[j] += j == truth ? 1 : 0;
      counts.cost += cost(truth, j) - cost(truth, rival);
      for (const std::size_t c : {std::size_t{rival}, j})
        add(sums, metric_.term(c, counts.hits[c], counts.predicted[c]), 1);
    }
    std::pair<double, double> chosen(0, -std::numeric_limits<double>::infinity());
    double distance = std::numeric_limits<double>::infinity();
    for (const auto& choice : choices)
      if (choice.second >= best - k_tie && std::abs(choice.first - offsets_[j]) < distance) {
        chosen = choice;
        distance = std::abs(choice.first - offsets_[j]);
      }
    return chosen;
  }

  const ScoreMatrix& logs_;
  std::span<const std::int64_t> labels_;
  const CostMatrix* costs_;
  const ThresholdSums& metric_;
  std::size_t classes_;
  std::vector<TopTwo> top_;
  std::vector<double> offsets_;
};

/// Offsets that give every class the same mean probability, relative to class 0.
std::vector<double> even_offsets(const ScoreMatrix& logs) {
  std::vector<double> offsets(static_cast<std::size_t>(logs.classes), 0);
  for (std::int64_t i = 0; i < logs.rows(); ++i)
    for (std::size_t j = 0; j < offsets.size(); ++j) offsets[j] += std::exp(logs.row(i)[j]);
  for (double& offset : offsets)
    offset = -std::log(std::max(offset / static_cast<double>(logs.rows()), k_smallest_mean));
  const double first = offsets[0];
  for (double& offset : offsets) offset -= first;
  return offsets;
}

std::vector<double> support_of(const ScoreMatrix& logs, std::span<const std::int64_t> labels) {
  if (labels.empty() || std::ssize(labels) != logs.rows())
    throw Error(ErrorKind::data, fmt::format("cannot fit thresholds to {} rows of scores and {} labels; give a label a "
                                             "row, and at least one",
                                             logs.rows(), labels.size()));
  std::vector<double> support(static_cast<std::size_t>(logs.classes), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= logs.classes)
      throw Error(ErrorKind::data, fmt::format("label {} at position {} is out of range; expected 0 to {}", labels[i],
                                               i, logs.classes - 1));
    support[static_cast<std::size_t>(labels[i])] += 1;
  }
  return support;
}

}  // namespace

Thresholds Thresholds::of_two(double threshold) {
  if (!(threshold > 0 && threshold < 1))
    throw_usage(fmt::format("{} is {}, expected a number between 0 and 1", option_name("threshold"), threshold));
  const double half = std::log((1 - threshold) / threshold) / 2;
  return {.offsets = {-half, half}};
}

double Thresholds::threshold() const {
  if (offsets.size() != 2)
    throw_usage(fmt::format("there are {} classes and an offset for each; one threshold is for two", offsets.size()));
  return 1 / (1 + std::exp(offsets[1] - offsets[0]));
}

Thresholds fit_thresholds(const ScoreMatrix& logs, std::span<const std::int64_t> labels, const ThresholdMetric& metric,
                          const ThresholdOptions& options) {
  const ThresholdSums sums(metric, support_of(logs, labels), options);
  if (options.costs && options.costs->classes != logs.classes)
    throw Error(ErrorKind::data,
                fmt::format("the cost matrix is for {} classes, expected {}", options.costs->classes, logs.classes));
  ThresholdFit fit(logs, labels, options.costs ? &*options.costs : nullptr, sums);
  Thresholds best{.offsets = {}, .metric = metric, .value = -std::numeric_limits<double>::infinity()};
  for (auto& start : {std::vector<double>(static_cast<std::size_t>(logs.classes), 0), even_offsets(logs)})
    if (const double value = fit.ascend(start); value > best.value) {
      best.value = value;
      best.offsets = fit.offsets();
    }
  if (metric.kind == ThresholdMetric::Kind::recall_at_precision && best.value < -0.5)
    throw Error(ErrorKind::data,
                fmt::format("no threshold has the precision of '{}' on these samples, the highest is {:.3g}; ask for "
                            "less",
                            metric.text(), best.value + 2));
  if (metric.kind == ThresholdMetric::Kind::cost) best.value = -best.value;
  const double mean =
      std::accumulate(best.offsets.begin(), best.offsets.end(), 0.0) / static_cast<double>(logs.classes);
  for (double& offset : best.offsets) offset -= mean;
  return best;
}

}  // namespace ulmus
