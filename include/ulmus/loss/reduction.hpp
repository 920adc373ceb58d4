#pragma once

#include <string_view>

namespace ulmus {

/// How the losses l[i] of the N samples are reduced to one number, with weights w[i] = sample weight * class weight of
/// y[i].
enum class Reduction {
  mean,           ///< sum of w[i] * l[i] divided by the number of samples (excluding those with the ignored label)
  weighted_mean,  ///< sum of w[i] * l[i] over sum of w[i]: torch's cross entropy with `weight`, the reference protocol
  none,           ///< sum of w[i] * l[i]: the gradient of each row is that of its own loss
};

std::string_view name_of(Reduction reduction);

/// Parses "mean", "weighted-mean" or "none"; throws Error{usage} with the nearest name.
Reduction parse_reduction(std::string_view name);

}  // namespace ulmus
