#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/base/json_fwd.hpp"
#include "ulmus/base/safetensors.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/loss/spec.hpp"
#include "ulmus/nn/model_options.hpp"

namespace ulmus::detail {

/// The key of the metadata that marks a checkpoint.
inline const std::string k_checkpoint_key = "ulmus";
/// The tensor that holds the state of the loss.
inline const std::string k_loss_state = "loss.state";

/// The metadata of a checkpoint, stored as JSON in the safetensors metadata.
struct CheckpointInfo {
  std::string loss;  ///< full text; of a head that `tune` chose: the loss that it was fitted with
  std::uint64_t seed = 0;
  std::int64_t epochs_done = 0;
  std::int64_t epochs = 0;
  double seconds = 0;  ///< of training so far
  ModelOptions model;
  Normalisation normalisation;
  std::vector<std::string> class_names;
  std::vector<double> loss_state;       ///< LossState::values
  std::optional<std::string> encoding;  ///< of a table, as JSON
  std::optional<std::string> tuned;     ///< name of a model whose head `tune` chose, "ce/crt"
  std::optional<std::string> chosen;    ///< value of the loss's key that is `auto`, once the trainer has chosen it
};

/// The name of the model for users: its loss in canonical text, or the name that `tune` gave it.
std::string model_name(const CheckpointInfo& info, const LossSpec& loss);

/// The JSON under k_checkpoint_key, without the state of the loss. `script_sha256` is that of the model.
Json to_json(const CheckpointInfo& info, const std::string& script_sha256);

/// Whether a file was written by save_checkpoint.
bool is_checkpoint(const SafetensorsFile& file);

/// From the header, and the state of the loss; no other tensor is read. Throws Error{data} when the file is no
/// checkpoint or contradicts itself: a model, a loss or a choice that there is not, sizes that its tensors cannot have,
/// names that come twice.
CheckpointInfo read_checkpoint_info(const SafetensorsFile& file);

/// The loss of a checkpoint. Throws Error{data} when there is no such loss.
LossSpec loss_of(const CheckpointInfo& info, const std::filesystem::path& path);

/// Throws Error{data}: the checkpoint does not fit, and why.
[[noreturn]] void throw_bad_checkpoint(const std::filesystem::path& path, const std::string& why);

}  // namespace ulmus::detail
