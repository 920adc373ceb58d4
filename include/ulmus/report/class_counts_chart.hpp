#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ulmus {

struct ClassCountsChart {
  std::string data;                      ///< address, for the title
  std::vector<std::string> class_names;  ///< [C]
  std::vector<std::int64_t> counts;      ///< [C], training samples, at least one above 0
};

/// A bar chart of the counts as an SVG image, the largest class first; logarithmic if the ratio of the largest to the
/// smallest count above 0 exceeds 20. Up to 100 classes have one bar each with their name; more classes are shown as
/// one outline with some names below it.
std::string to_svg(const ClassCountsChart& chart);

}  // namespace ulmus
