#pragma once

#include <string>

#include "ulmus/eval/tuning.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {

/// Every head that was tried as an aligned table in percent of the validation part, the head-tail trade-off as a
/// picture of characters, and what was chosen. Every line ends with a newline.
std::string tuning_table(const Tuning& tuning, const TableOptions& options = {});

/// The same as one page of HTML that needs no network and no script: the trade-off is an SVG picture.
std::string tuning_html(const Tuning& tuning);

/// As JSON, with `schema_version` 1 and the whole evaluation of every candidate.
std::string to_json(const Tuning& tuning);

}  // namespace ulmus
