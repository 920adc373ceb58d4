#include "ulmus/loss/row_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "loss/rescale.hpp"

namespace ulmus {
namespace {

/// The larger one; NaN if either is NaN.
double largest(double a, double b) { return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b); }

/// -1 means no class.
std::int64_t lowest_class(std::int64_t a, std::int64_t b) { return a < 0 || b < 0 ? std::max(a, b) : std::min(a, b); }

}  // namespace

RowStatistics merge(const RowStatistics& a, const RowStatistics& b) {
  RowStatistics merged;
  merged.maximum = std::fmax(a.maximum, b.maximum);
  merged.sum = a.sum * detail::rescale(a.maximum, merged.maximum) + b.sum * detail::rescale(b.maximum, merged.maximum);
  merged.true_value = largest(a.true_value, b.true_value);
  merged.rival_value = std::fmax(a.rival_value, b.rival_value);
  merged.rival_class = a.maximum == b.maximum  ? lowest_class(a.rival_class, b.rival_class)
                       : a.maximum > b.maximum ? a.rival_class
                                               : b.rival_class;
  return merged;
}

}  // namespace ulmus
