#pragma once

#include <cmath>

namespace ulmus::detail {

/// exp(from - to), what moves a sum of exponentials from one maximum to another; 1 between equal infinities.
inline double rescale(double from, double to) { return from == to ? 1 : std::exp(from - to); }

}  // namespace ulmus::detail
