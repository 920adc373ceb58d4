#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "train/safetensors.hpp"
#include "train/weight_average.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/loss/spec.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// What a checkpoint says beside its tensors; kept as JSON in the safetensors metadata.
struct CheckpointInfo {
  std::string loss;  ///< full text; of a head that `tune` chose: the loss that it was fitted with
  std::uint64_t seed = 0;
  std::int64_t epochs_done = 0;
  std::int64_t epochs = 0;
  double seconds = 0;  ///< of training so far
  ModelOptions model;
  Normalisation normalisation;
  std::vector<std::string> class_names;
  std::vector<double> loss_state;  ///< LossState::values
  std::string encoding;            ///< of a table, as JSON; empty for other data
  std::string tuned;   ///< name of a member with a head that `tune` chose, "ce/crt"; empty: trained as it is
  std::string chosen;  ///< value of the loss's key that is `auto`, once the trainer has chosen it
};

/// What the user calls the member of a checkpoint: its loss in canonical text, or the name that `tune` gave it.
std::string member_name(const CheckpointInfo& info, const LossSpec& loss);

/// Writes parameters and buffers under their names and, with an optimizer, its state: `optimizer.momentum.<parameter>`
/// of SGD; `optimizer.exp_avg.`, `optimizer.exp_avg_sq.` and `optimizer.step.` of AdamW. With an average, its tensors
/// have the names, and with an optimizer too, the model's own are under `optimizer.weights.<name>`.
void save_checkpoint(const std::filesystem::path& path, const CheckpointInfo& info, const Classifier& model,
                     torch::optim::Optimizer* optimizer, const WeightAverage* average = nullptr);

/// Whether a file was written by save_checkpoint.
bool is_checkpoint(const TensorFile& file);

/// Whether a tensor of a checkpoint serves only to train on: state of the optimizer or the loss.
bool is_training_state(const std::string& name);

/// Reads the header alone, and the state of the loss. Throws Error{data} when the file is no checkpoint or contradicts
/// itself: a model, a loss or a choice that there is not, sizes that its tensors cannot have, names that come twice.
CheckpointInfo read_checkpoint_info(const std::filesystem::path& path);

/// The loss of a checkpoint. Throws Error{data} when there is no such loss.
LossSpec loss_of(const CheckpointInfo& info, const std::filesystem::path& path);

/// Loads into a model built from the checkpoint's own ModelOptions. Throws Error{data} when a tensor is missing or has
/// another shape.
void load_checkpoint(const std::filesystem::path& path, Classifier& model, torch::optim::Optimizer* optimizer,
                     WeightAverage* average = nullptr);

/// Throws Error{numerical} naming the checkpoint when a weight or a statistic of its model is not finite: what it
/// predicted would be nothing.
void require_finite(const std::filesystem::path& path, const Classifier& model);

}  // namespace ulmus::detail
