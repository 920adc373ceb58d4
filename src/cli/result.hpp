#pragma once

#include <filesystem>

#include "ulmus/report/summary.hpp"

namespace ulmus::cli {

/// Prints the summary of a run: as JSON, or as a table and the path of its report.
void print_result(const std::filesystem::path& folder, const Summary& summary, bool as_json);

}  // namespace ulmus::cli
