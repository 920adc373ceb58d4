#pragma once

#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// Chooses stored weights where the options name none, and with them the model, what is frozen and the image size.
/// Photographs get the image size that a TorchScript backbone states.
/// If a run on photographs would train from nothing because no weights are stored, it says once how to get them.
void resolve_weights(RunOptions& options);

}  // namespace ulmus::detail
