#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "train/safetensors.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// The folder where script/weights stores published weights: $ULMUS_CACHE, $XDG_CACHE_HOME/ulmus or ~/.cache/ulmus.
std::filesystem::path weights_folder();

/// The file of a model's published weights, if it is stored there.
std::optional<std::filesystem::path> stored_weights(const std::string& model);

/// A value of a file's metadata, such as `image_size` or `licence`; empty if it is missing.
std::string weights_fact(const std::filesystem::path& path, const std::string& key);

/// Published weights, or those of a run's checkpoint, in memory: they are read once for all models of a run.
class PretrainedWeights {
 public:
  /// Reads a safetensors file. Throws Error{data} as SafetensorsFile does, for a normalisation that is none, and for a
  /// checkpoint as read_whole_model().
  explicit PretrainedWeights(std::filesystem::path path);

  /// Loads them into a model made from `options`.
  ///
  /// They must be exactly the tensors of the backbone, with their names and shapes; `num_batches_tracked`, which old
  /// files lack, may be missing. The head (`fc.`) is loaded if it is linear and has the same shape. Returns the
  /// normalisation with which the weights were trained: that of the run, that of the file's metadata (`mean` and
  /// `stddev`, JSON arrays), or ImageNet's for a torchvision model on images of three channels; nothing if it is
  /// unknown. Throws Error{data} naming the first tensor that does not match and the number of mismatches, the model
  /// that the metadata name, or the number of channels.
  std::optional<Normalisation> load_into(Classifier& model, const ModelOptions& options) const;

 private:
  std::filesystem::path path_;
  TensorFile file_;
  std::optional<std::string> model_;  ///< that the file states; a checkpoint may be of any that has its tensors
  std::optional<Normalisation> normalisation_;
};

}  // namespace ulmus::detail
