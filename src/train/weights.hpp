#pragma once

#include <filesystem>
#include <optional>

#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// Loads a safetensors file of published weights, or a checkpoint of a run, into a model made from `options`.
///
/// Every tensor of the backbone must come under its name and in its shape, and nothing else may; `num_batches_tracked`,
/// which old files lack, may be missing. The head (`fc.`) is loaded where it is linear and of the same shape. Returns
/// the normalisation that the weights were trained with: that of the run, or ImageNet's for a model of torchvision on
/// images of three channels; nothing where it is not known. Throws Error{data} naming the first tensor that does not
/// fit and how many do not.
std::optional<Normalisation> load_weights(const std::filesystem::path& path, Classifier& model,
                                          const ModelOptions& options);

}  // namespace ulmus::detail
