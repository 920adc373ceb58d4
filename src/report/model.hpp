#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ulmus/report/run_folder.hpp"
#include "ulmus/report/summary.hpp"

namespace ulmus {

/// Classes from frequent to rare, lower index first among equals, and their outer thirds (one class each for two).
struct ClassOrder {
  std::vector<std::size_t> by_count;
  std::size_t third = 1;

  std::span<const std::size_t> head() const { return {by_count.data(), third}; }
  std::span<const std::size_t> tail() const { return {by_count.data() + by_count.size() - third, third}; }
};

ClassOrder class_order(std::span<const std::int64_t> train_counts);

/// The members of each loss, parallel to Summary::losses. [losses][seeds]
std::vector<std::span<const MemberResult>> members_by_loss(const RunFolder& run);

/// Mean test recall of some classes; absent when none has support.
std::optional<double> group_recall(const Evaluation& evaluation, std::span<const std::size_t> classes);

/// The same, as a mean over seeds.
std::optional<double> group_recall(std::span<const MemberResult> members, std::span<const std::size_t> classes);

/// The sum of the counts.
std::int64_t total_count(const SparseCounts& counts);

/// The values that the sentences, tables and charts of a report share, computed once. Refers to the run and the
/// summary.
struct ReportModel {
  const RunFolder& run;
  const Summary& summary;
  ClassOrder order;
  std::vector<std::span<const MemberResult>> members;  ///< [losses][seeds]
  /// Test confusion of all seeds together, [losses][C]: of each class what was predicted, both as positions in `order`.
  std::vector<std::vector<SparseCounts>> confusions;

  ReportModel(const RunFolder& of_run, const Summary& its_summary);
};

/// As conclusion(run, summary) of report.hpp.
std::string conclusion(const ReportModel& report);

}  // namespace ulmus
