#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/report/run_folder.hpp"

namespace ulmus {

/// A number by which models are compared.
struct Metric {
  std::string_view name;     ///< key in summary.json
  std::string_view label;    ///< display name
  std::string_view meaning;  ///< one sentence
  bool higher_is_better;
  bool fraction;  ///< in [0, 1], shown in percent
  std::optional<double> (*value)(const Evaluation&);
  bool of_two_classes = false;  ///< tables show it for two classes only
};

/// All metrics of a summary, in display order.
std::span<const Metric> metrics();

/// Throws Error{usage} for an unknown name, with the nearest one.
std::size_t metric_index(std::string_view name);

struct Interval {
  double low = 0;
  double high = 0;
};

/// A metric over the seeds of a loss. All fields are absent if no evaluated class belongs to the metric's group.
struct MetricSummary {
  std::optional<double> mean;
  std::optional<Interval> interval;           ///< 95 %; absent for a single seed
  std::vector<std::optional<double>> values;  ///< [seeds]
};

/// The evaluation of one loss on one set.
struct SetSummary {
  std::int64_t samples = 0;                ///< of the first seed
  std::vector<MetricSummary> metrics;      ///< parallel to metrics()
  std::vector<std::string> worst_classes;  ///< [seeds], names

  /// Throws Error{usage} for an unknown name.
  const MetricSummary& at(std::string_view name) const { return metrics[metric_index(name)]; }
};

struct LossSummary {
  std::string loss;
  std::string loss_full;
  std::string head;
  std::string model;
  std::int64_t parameters = 0;
  double scale = 1;
  std::int64_t epochs = 0;
  std::vector<std::int64_t> seeds;
  std::vector<Selection> selections;  ///< [seeds], the choices on the validation part; empty: none
  double seconds = 0;                 ///< mean over the seeds
  SetSummary train, test;
  std::optional<SetSummary> validation;  ///< absent unless every seed has it
};

/// The numbers of a run: the content of `summary.json`.
struct Summary {
  std::string version;  ///< version of Ulmus that wrote the summary
  std::string command;
  std::string data;
  std::string data_sha256;
  std::string split_sha256;
  std::string imbalance;
  double imbalance_ratio = 1;  ///< n_max / n_min
  std::int64_t validation_per_class = 0;
  std::vector<std::string> class_names;
  std::vector<std::int64_t> train_counts;
  std::vector<std::int64_t> seeds;  ///< ascending, of all losses
  std::vector<LossSummary> losses;
  std::vector<std::string> unfinished;  ///< "loss, seed k" of trials that have started but have no result yet
};

/// The two-sided 95 % point of Student's t distribution: P(|T| <= t) = 0.95. Relative error below 1e-12. Source: closed
/// form of the distribution for integer degrees of freedom, Abramowitz and Stegun 26.7.3 and 26.7.4. Throws
/// Error{usage} for fewer than 1.
double student_t_95(std::int64_t degrees_of_freedom);

/// The 95 % Student-t interval of the mean of independent `values` (mean -+ t s / sqrt(n)), not clipped to the range of
/// the metric; absent for fewer than two values.
std::optional<Interval> mean_interval(std::span<const double> values);

Summary summarize(const RunFolder& run);

/// The text of `summary.json`; docs/summary.md describes it.
std::string to_json(const Summary& summary);

}  // namespace ulmus
