#pragma once

#include <cstdint>
#include <span>

/// The arithmetic of one row in double that the losses outside the kernel share.
namespace ulmus::detail {

/// log(1 + exp(x)), without overflow.
double softplus(double x);

/// exp(values[j] - largest) in place, with the vector exponential; returns the largest. `skip`: an index that is left
/// out of the maximum and becomes 0; -1: none.
double exponentials(std::span<double> values, std::int64_t skip = -1);

/// softmax in place; returns log sum_j exp(values[j]).
double softmax(std::span<double> values);

/// In place. Values outside of [-1, 1] count as the nearest one in it.
void arc_cosines(std::span<double> values);
void cosines(std::span<double> angles);

/// The angle arccos(z[i]) turned by angles[i], which has the derivative slopes[i] by z[i]: its cosine in place of the
/// angle, and the cosine's derivative by z[i] in place of the slope. At z = -1 and 1, where the sine is 0 and arccos
/// has none, the sine counts as 1e-6.
void turn(std::span<const double> z, std::span<double> angles, std::span<double> slopes);

/// Cross entropy of the logits u, as softplus(logsumexp of the wrong ones - the true one); turns them into its
/// gradient.
double cross_entropy(std::span<double> u, std::int64_t label);

}  // namespace ulmus::detail
