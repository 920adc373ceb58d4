#pragma once

#include <optional>
#include <string>

#include "ulmus/loss/loss.hpp"

namespace ulmus {

/// The reason why a sample loss is not the cross entropy of a softmax of u[j] = slope[j] z[j] + shift[j] with shifts
/// that are constant for the gradient ("its shape is another function of the cross entropy"); nothing if it is.
///
/// For such a loss the second derivative follows from the gradient, so it can be an objective for boosted trees. The
/// kernel parameters and hooks decide, not the name.
std::optional<std::string> obstacle_to_softmax(const Loss& loss);

}  // namespace ulmus
