#pragma once

#include <cstdint>
#include <optional>

#include "ulmus/data/loader.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// Chooses stored weights where the options name none, and with them the model, what is frozen and the image size.
/// Photographs get the image size that a TorchScript backbone states.
/// If the data are photographs and no weights are stored, it says once how to get them.
void resolve_weights(RunOptions& options);

/// The normalisation that a TorchScript backbone states for images of so many channels, if it does.
std::optional<Normalisation> script_normalisation(const RunOptions& options, std::int64_t channels);

}  // namespace ulmus::detail
