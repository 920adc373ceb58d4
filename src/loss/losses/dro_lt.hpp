#pragma once

#include <span>

#include "ulmus/loss/hooks.hpp"

namespace ulmus::detail::dro_lt {

/// The feature loss of DRO-LT: mean over the classes c in the batch, by class weight, of the mean over their samples i
/// of -log softmax over all samples of d[c, i] / T, with d[c, i] = -|mu[c] - x[i]| - radius[c] [y[i] = c]. Adds
/// `factor` times its gradient to that of the features and returns `factor` times its value.
///
/// @param means   mu, [C, D]
/// @param radius  [C]
double robust_loss(const BatchView& batch, std::span<const double> means, std::span<const double> radius,
                   double temperature, double factor);

}  // namespace ulmus::detail::dro_lt
