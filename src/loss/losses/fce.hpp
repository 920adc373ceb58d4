#pragma once

#include <vector>

#include "loss/definition.hpp"

namespace ulmus::detail::fce {

/// The row loss of fce and, with offsets of the divided logits, [C], of lafce.
LossHooks false_cross_entropy(double temperature, std::vector<double> offset, const ClassCounts& counts);

}  // namespace ulmus::detail::fce
