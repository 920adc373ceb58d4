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

/// The metadata key that identifies a checkpoint.
inline const std::string k_checkpoint_key = "ulmus";
/// The file in a run folder with the backbone that its checkpoints share.
inline constexpr const char* k_backbone_file = "backbone.safetensors";
/// The tensor with the state of the loss.
inline const std::string k_loss_state = "loss.state";

/// The metadata of a checkpoint, stored as JSON in the safetensors metadata.
struct CheckpointInfo {
  std::string loss;  ///< full text; for a head chosen by `tune`: the loss with which it was fitted
  std::uint64_t seed = 0;
  std::int64_t epochs_done = 0;
  std::int64_t epochs = 0;
  double seconds = 0;  ///< training time so far
  ModelOptions model;
  Normalisation normalisation;
  std::vector<std::string> class_names;
  std::vector<double> loss_state;       ///< LossState::values
  std::optional<std::string> encoding;  ///< encoding of a table, as JSON
  std::optional<std::string> tuned;     ///< name of a model whose head `tune` chose, "ce/crt"
  std::optional<std::string> chosen;    ///< value of the loss's `auto` key, once the trainer has chosen it
  /// SHA-256 of the frozen backbone, if that is in k_backbone_file instead of the checkpoint (backbone_file.hpp).
  std::optional<std::string> backbone_sha256;
};

/// The user-visible name of the model: its loss in canonical text, or the name given by `tune`.
std::string model_name(const CheckpointInfo& info, const LossSpec& loss);

/// The JSON stored under k_checkpoint_key, without the state of the loss. `script_sha256` is that of the model.
Json to_json(const CheckpointInfo& info, const std::string& script_sha256);

/// Opens the file with the backbone of the run that a checkpoint belongs to. Throws Error{data} if it is missing.
SafetensorsFile open_backbone(const std::filesystem::path& checkpoint);

/// Returns whether a file was written by save_checkpoint.
bool is_checkpoint(const SafetensorsFile& file);

/// Reads the header and the state of the loss, but no other tensor. Throws Error{data} if the file is not a checkpoint
/// or is inconsistent: an unknown model, loss or choice, sizes that its tensors cannot have, duplicate names.
CheckpointInfo read_checkpoint_info(const SafetensorsFile& file);

/// The loss of a checkpoint. Throws Error{data} for an unknown loss.
LossSpec loss_of(const CheckpointInfo& info, const std::filesystem::path& path);

/// Throws Error{data}: the checkpoint is invalid, with the reason `why`.
[[noreturn]] void throw_bad_checkpoint(const std::filesystem::path& path, const std::string& why);

}  // namespace ulmus::detail
