#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// The folder where script/weights stores published weights: $ULMUS_CACHE, $XDG_CACHE_HOME/ulmus or ~/.cache/ulmus.
std::filesystem::path weights_folder();

/// The file of a model's published weights, if it is stored there.
std::optional<std::filesystem::path> stored_weights(const std::string& model);

/// A value of a file's metadata, such as `image_size` or `licence`; empty if it is missing.
std::string weights_fact(const std::filesystem::path& path, const std::string& key);

/// Loads a safetensors file of published weights, or a checkpoint of a run, into a model made from `options`.
///
/// The file must contain exactly the tensors of the backbone, with their names and shapes; `num_batches_tracked`, which
/// old files lack, may be missing. The head (`fc.`) is loaded if it is linear and has the same shape. Returns the
/// normalisation with which the weights were trained: that of the run, that of the file's metadata (`mean` and
/// `stddev`, JSON arrays), or ImageNet's for a torchvision model on images of three channels; nothing if it is unknown.
/// Throws Error{data} naming the first tensor that does not match and the number of mismatches, or the model that the
/// metadata name.
std::optional<Normalisation> load_weights(const std::filesystem::path& path, Classifier& model,
                                          const ModelOptions& options);

}  // namespace ulmus::detail
