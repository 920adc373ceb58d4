#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ulmus/base/json_fwd.hpp"
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

/// Test confusion of all seeds together: of each class what was predicted, both as positions in the given order.
std::vector<Tally> pooled_confusion(std::span<const MemberResult> members, std::span<const std::size_t> order);

/// The counts of a tally together.
std::int64_t total_of(const Tally& tally);

/// A set of classes whose margins are shown as one density.
struct MarginCurve {
  std::vector<double> density;  ///< over the bins of MarginChart
  double negative = 0;          ///< share of the samples with a margin below 0
};

/// The margins of one loss on bins that all losses with the same head share.
struct MarginChart {
  std::string unit;             ///< "cosine" or "logit"
  std::vector<double> centres;  ///< of the bins
  MarginCurve test_head, test_tail, train_head, train_tail;
};

std::vector<MarginChart> margin_charts(const RunFolder& run, const ClassOrder& order);

/// Everything that the page's script draws: keys `losses`, `bins`, `recall`, `curves`, `margins`, `matrices`.
Json chart_data(const RunFolder& run, const Summary& summary, const std::vector<MarginChart>& margins);

/// From this many classes on, confusion is drawn instead of written out.
inline constexpr std::size_t k_most_classes_written = 30;

/// Cells along one side of a drawn confusion matrix at most; more classes are joined in equal blocks.
inline constexpr std::size_t k_most_matrix_cells = 128;

/// Points along the class axis of a chart at most; more classes are joined in equal bins.
inline constexpr std::size_t k_most_class_bins = 100;

/// Classes joined so that `classes` need at most `most` blocks.
inline std::size_t block_size(std::size_t classes, std::size_t most) { return (classes + most - 1) / most; }

}  // namespace ulmus
