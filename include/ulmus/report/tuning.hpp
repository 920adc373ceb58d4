#pragma once

#include <string>

#include "ulmus/eval/tuning.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {

/// Every tried head as an aligned table in percent of the validation part, the head-tail trade-off as a character plot,
/// and the choice. Every line ends with a newline.
std::string tuning_table(const Tuning& tuning, const TableOptions& options = {});

/// The same as one self-contained HTML page without scripts: the trade-off is an SVG image.
std::string tuning_html(const Tuning& tuning);

/// As JSON, with `schema_version` 1 and the complete evaluation of every candidate.
std::string to_json(const Tuning& tuning);

}  // namespace ulmus
