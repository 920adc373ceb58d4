#pragma once

#include <cstdint>

#include "ulmus/loss/hooks.hpp"

/// The running mean feature of every class, as the state of a loss: the number of batches that contained each class,
/// [C], then the means, [C, D].
namespace ulmus::detail {

/// Sets the hooks for this state: mean = momentum * mean + (1 - momentum) * batch mean; for the first batch the batch
/// mean itself.
void keep_class_means(LossHooks& hooks, double momentum, std::int64_t classes);

}  // namespace ulmus::detail
