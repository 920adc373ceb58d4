#pragma once

#include <cstdint>
#include <span>

/// The arithmetic of one row in double that the members outside the kernel share.
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
void sines(std::span<double> angles);

/// Cross entropy of the logits u, as softplus(logsumexp of the wrong ones - the true one); turns them into its
/// gradient.
double cross_entropy(std::span<double> u, std::int64_t label);

}  // namespace ulmus::detail
