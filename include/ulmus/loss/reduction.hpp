#pragma once

#include <string_view>

namespace ulmus {

/// How the losses l[i] of the N samples, with weights w[i] = sample weight * class weight of y[i], become one number.
enum class Reduction {
  mean,           ///< sum of w[i] * l[i], over the number of samples (those of the ignored label do not count)
  weighted_mean,  ///< sum of w[i] * l[i], over sum of w[i]: torch's cross entropy with `weight`, the reference protocol
  none,           ///< sum of w[i] * l[i]: the gradient of each row is that of its own loss
};

std::string_view name_of(Reduction reduction);

/// "mean", "weighted-mean" or "none"; throws Error{usage} with the nearest name.
Reduction parse_reduction(std::string_view name);

}  // namespace ulmus
