#pragma once

#include <cstdint>

#include "ulmus/loss/hooks.hpp"

/// The running mean feature of every class, as the state of a loss: for each class how many batches it was in, [C],
/// then the means, [C, D].
namespace ulmus::detail {

/// Makes that the state: mean = momentum * mean + (1 - momentum) * batch mean, the first time the batch mean itself.
void keep_class_means(LossHooks& hooks, double momentum, std::int64_t classes);

}  // namespace ulmus::detail
