#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/eval/adjustment.hpp"
#include "ulmus/eval/score_comparison.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {

/// Scores before and after an adjustment, for a table, JSON or a page.
struct AdjustmentReport {
  std::string scores;                          ///< name of the file
  std::optional<std::string> validation = {};  ///< name of the file that was fitted on
  const ScoreAdjustment& adjustment;
  const ScoreComparison& comparison;
};

/// What was done, and the metrics before and after with their intervals, as aligned lines. Fractions are in percent.
std::string adjustment_table(const AdjustmentReport& report);

/// The same as one self-contained HTML page without scripts: precision-recall and ROC curves with the decision marked,
/// a reliability diagram, confusion and a table of the classes.
std::string adjustment_html(const AdjustmentReport& report);

/// As JSON, with `schema_version` 1. Fractions are in [0, 1]; what does not exist is null.
std::string to_json(const AdjustmentReport& report);

}  // namespace ulmus
