#pragma once

#include <string>

#include "model.hpp"

namespace ulmus {

/// The section of the report that shows images, as HTML; empty if the run has none.
std::string gallery_section(const ReportModel& report);

}  // namespace ulmus
