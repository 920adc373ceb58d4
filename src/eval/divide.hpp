#pragma once

namespace ulmus::detail {

/// Returns 0 where the denominator, a sum of non-negative weights, is 0.
inline double divide(double numerator, double denominator) { return denominator > 0 ? numerator / denominator : 0; }

}  // namespace ulmus::detail
