#pragma once

#include <string>
#include <vector>

#include "model.hpp"
#include "ulmus/base/json_fwd.hpp"

namespace ulmus {

/// A set of classes whose margins are shown as one density.
struct MarginCurve {
  std::vector<double> density;  ///< per bin of MarginChart
  double negative = 0;          ///< share of the samples with a negative margin
};

/// The margins of one loss, with the same bins for all losses with the same head.
struct MarginChart {
  std::string unit;             ///< "cosine" or "logit"
  std::vector<double> centres;  ///< of the bins
  MarginCurve test_head, test_tail, train_head, train_tail;
};

/// One chart per loss.
std::vector<MarginChart> margin_charts(const ReportModel& report);

/// The most important columns for the trees of a run, by the mean over losses and seeds.
struct ImportanceChart {
  std::vector<std::string> columns;       ///< the first is the most important; empty without trees
  std::vector<std::vector<double>> gain;  ///< of each loss, [columns]: share of the gain of all splits, mean of seeds
  std::size_t left_out = 0;               ///< further columns on which a tree splits
};
ImportanceChart importance_chart(const ReportModel& report);

/// Most columns in the chart.
inline constexpr std::size_t k_most_columns_drawn = 20;

/// The data for the page's script: keys `losses`, `bins`, `recall`, `curves`, `margins`, `matrices`, and `importance`,
/// which is null without trees.
Json chart_data(const ReportModel& report, const std::vector<MarginChart>& margins);

/// With at least this many classes, confusion is drawn rather than written as a table.
inline constexpr std::size_t k_most_classes_written = 30;

/// Maximum number of cells along one side of a drawn confusion matrix; more classes are joined in equal blocks.
inline constexpr std::size_t k_most_matrix_cells = 128;

/// Maximum number of points on the class axis of a chart; more classes are joined in equal bins.
inline constexpr std::size_t k_most_class_bins = 100;

/// Number of classes per block such that `classes` need at most `most` blocks.
inline std::size_t block_size(std::size_t classes, std::size_t most) { return (classes + most - 1) / most; }

}  // namespace ulmus
