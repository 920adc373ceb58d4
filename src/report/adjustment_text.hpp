#pragma once

#include <string>
#include <vector>

#include "ulmus/report/adjustment.hpp"

namespace ulmus {

/// "80.6", or "0.214" for a metric that is no fraction; "-" for NaN.
std::string metric_number(const ComparedMetric& metric, double value);
/// The same with its sign.
std::string change_number(const ComparedMetric& metric, double value);
/// "78.1 to 83.0"; empty without an interval.
std::string interval_text(const ComparedMetric& metric, const Estimate& estimate, bool with_sign = false);

/// What changed most, in a sentence.
std::string adjustment_conclusion(const AdjustmentReport& report);
/// How the intervals were made, and on what was fitted.
std::string adjustment_caption(const AdjustmentReport& report);

}  // namespace ulmus
