#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ulmus/report/run_folder.hpp"
#include "ulmus/report/summary.hpp"

namespace ulmus {

/// Classes by descending frequency, lower index first on a tie, and their outer thirds (one class each for two
/// classes).
struct ClassOrder {
  std::vector<std::size_t> by_count;
  std::size_t third = 1;

  std::span<const std::size_t> head() const { return {by_count.data(), third}; }
  std::span<const std::size_t> tail() const { return {by_count.data() + by_count.size() - third, third}; }
};

ClassOrder class_order(std::span<const std::int64_t> train_counts);

/// The models of each loss, parallel to Summary::losses. [losses][seeds]
std::vector<std::span<const TrialResult>> members_by_loss(const RunFolder& run);

/// Mean test recall of the given classes; absent if none has support.
std::optional<double> group_recall(const Evaluation& evaluation, std::span<const std::size_t> classes);

/// The same, averaged over seeds.
std::optional<double> group_recall(std::span<const TrialResult> members, std::span<const std::size_t> classes);

std::int64_t total_count(const SparseCounts& counts);

/// The values shared by the sentences, tables and charts of a report, computed once. Refers to the run and the summary.
struct ReportModel {
  const RunFolder& run;
  const Summary& summary;
  ClassOrder order;
  std::vector<std::span<const TrialResult>> members;  ///< [losses][seeds]
  /// Test confusion summed over all seeds, [losses][C]: predicted classes for each true class, both as indices into
  /// `order`.
  std::vector<std::vector<SparseCounts>> confusions;

  ReportModel(const RunFolder& of_run, const Summary& its_summary);
};

/// As conclusion(run, summary) in report.hpp.
std::string conclusion(const ReportModel& report);

}  // namespace ulmus
