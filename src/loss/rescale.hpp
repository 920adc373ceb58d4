#pragma once

#include <cmath>

namespace ulmus::detail {

/// exp(from - to), the factor that converts a sum of exponentials from one maximum to another; 1 for equal infinities.
inline double rescale(double from, double to) { return from == to ? 1 : std::exp(from - to); }

}  // namespace ulmus::detail
