#pragma once

#include <span>
#include <vector>

#include "ulmus/loss/parts.hpp"

/// The running mean feature of every class, as the state of a loss: for each class how many batches it was in, [C],
/// then the means, [C, D].
namespace ulmus::detail {

/// What a batch adds: for each class its samples, [C], then the sum of their features, [C, D].
std::vector<double> measure_class_sums(const WholeBatch& batch);

/// mean = momentum * mean + (1 - momentum) * batch mean; the first time the batch mean itself.
void advance_class_means(LossState& state, std::span<const double> change, double momentum, std::int64_t classes);

}  // namespace ulmus::detail
