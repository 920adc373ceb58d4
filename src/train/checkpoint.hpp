#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "train/checkpoint_info.hpp"
#include "train/weight_average.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// Writes parameters and buffers under their names, without those of a backbone that the run shares
/// (CheckpointInfo::backbone_sha256), and, with an optimizer, its state: `optimizer.momentum.<parameter>`
/// for SGD; `optimizer.exp_avg.`, `optimizer.exp_avg_sq.` and `optimizer.step.` for AdamW. With an average, the
/// averaged tensors have the plain names; if there is also an optimizer, the model's own tensors are stored under
/// `optimizer.weights.<name>`.
void save_checkpoint(const std::filesystem::path& path, const CheckpointInfo& info, const Classifier& model,
                     torch::optim::Optimizer* optimizer, const WeightAverage* average = nullptr);

/// Returns whether a tensor of a checkpoint is only needed to continue training: state of the optimizer or the loss.
bool is_training_state(const std::string& name);

/// Loads a checkpoint, with the backbone that it shares, into a model built from the checkpoint's own ModelOptions.
/// Throws Error{data} if a tensor is missing or has another shape, and as read_whole_model().
void load_checkpoint(const SafetensorsFile& file, Classifier& model, torch::optim::Optimizer* optimizer,
                     WeightAverage* average = nullptr);

/// Throws Error{numerical} naming the checkpoint if a weight or statistic of its model is not finite, because its
/// predictions would not be finite either.
void require_finite(const std::filesystem::path& path, const Classifier& model);

}  // namespace ulmus::detail
