#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/eval/evaluation.hpp"

/// Pieces that the pages share; titles, values and contents are HTML unless stated otherwise.
namespace ulmus {

/// Opens a table in its own scrolling box, so that the page never scrolls sideways.
std::string table_start(std::string_view kind, std::string_view caption, const std::vector<std::string>& titles);
inline constexpr std::string_view k_table_end = "</tbody></table></div>";

/// Confusion in percent of the true class (row); names are text.
std::string confusion_table(std::span<const SparseCounts> confusion, std::span<const std::string> class_names,
                            std::string_view caption);

/// A number that a page begins with; title and note are text.
std::string card(std::string_view title, std::string_view value, std::string_view note);

std::string collapsible(std::string_view title, std::string_view content);

/// A term and its value in a list of facts.
std::string fact(std::string_view name, std::string_view value);

/// "1,234,567".
std::string group_digits(std::int64_t number);

}  // namespace ulmus
