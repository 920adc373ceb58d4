#pragma once

#include <string>
#include <vector>

#include "model.hpp"
#include "ulmus/base/json_fwd.hpp"

namespace ulmus {

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

/// Of each loss.
std::vector<MarginChart> margin_charts(const ReportModel& report);

/// The columns that matter most to the trees of a run, by the mean over losses and seeds.
struct ImportanceChart {
  std::vector<std::string> columns;       ///< the first is the most important; empty where there are no trees
  std::vector<std::vector<double>> gain;  ///< of each loss, [columns]: share of the gain of all splits, mean of seeds
  std::size_t left_out = 0;               ///< further columns on which a tree splits
};
ImportanceChart importance_chart(const ReportModel& report);

/// Columns in it at most.
inline constexpr std::size_t k_most_columns_drawn = 20;

/// Everything that the page's script draws: keys `losses`, `bins`, `recall`, `curves`, `margins`, `matrices`, and
/// `importance`, which is null without trees.
Json chart_data(const ReportModel& report, const std::vector<MarginChart>& margins);

/// From this many classes on, confusion is drawn instead of written out.
inline constexpr std::size_t k_most_classes_written = 30;

/// Cells along one side of a drawn confusion matrix at most; more classes are joined in equal blocks.
inline constexpr std::size_t k_most_matrix_cells = 128;

/// Points along the class axis of a chart at most; more classes are joined in equal bins.
inline constexpr std::size_t k_most_class_bins = 100;

/// Classes joined so that `classes` need at most `most` blocks.
inline std::size_t block_size(std::size_t classes, std::size_t most) { return (classes + most - 1) / most; }

}  // namespace ulmus
