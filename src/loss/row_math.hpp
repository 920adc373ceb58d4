#pragma once

#include <cstdint>
#include <span>

/// Arithmetic on one row in double, shared by the losses outside the kernel.
namespace ulmus::detail {

/// log(1 + exp(x)), without overflow.
double softplus(double x);

/// exp(values[j] - largest) in place, with the vector exponential; returns the largest. `skip`: an index that is
/// excluded from the maximum and becomes 0; -1: none.
double exponentials(std::span<double> values, std::int64_t skip = -1);

/// softmax in place; returns log sum_j exp(values[j]).
double softmax(std::span<double> values);

/// In place. Values outside [-1, 1] are clamped.
void arc_cosines(std::span<double> values);
void cosines(std::span<double> angles);

/// Rotates the angle arccos(z[i]) by angles[i], whose derivative with respect to z[i] is slopes[i]: replaces the angle
/// by the cosine of the sum, and the slope by the derivative of that cosine. At z = -1 and 1, where the sine is 0 and
/// arccos is not differentiable, the sine counts as 1e-6.
void turn(std::span<const double> z, std::span<double> angles, std::span<double> slopes);

/// Cross entropy of the logits u, as softplus(logsumexp of the incorrect ones - the true one); replaces u by the
/// gradient.
double cross_entropy(std::span<double> u, std::int64_t label);

}  // namespace ulmus::detail
