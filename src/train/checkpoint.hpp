#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "train/checkpoint_info.hpp"
#include "train/weight_average.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// Writes parameters and buffers under their names and, with an optimizer, its state: `optimizer.momentum.<parameter>`
/// of SGD; `optimizer.exp_avg.`, `optimizer.exp_avg_sq.` and `optimizer.step.` of AdamW. With an average, its tensors
/// have the names, and with an optimizer too, the model's own are under `optimizer.weights.<name>`.
void save_checkpoint(const std::filesystem::path& path, const CheckpointInfo& info, const Classifier& model,
                     torch::optim::Optimizer* optimizer, const WeightAverage* average = nullptr);

/// Whether a tensor of a checkpoint serves only to train on: state of the optimizer or the loss.
bool is_training_state(const std::string& name);

/// Loads into a model built from the checkpoint's own ModelOptions. Throws Error{data} when a tensor is missing or has
/// another shape.
void load_checkpoint(const SafetensorsFile& file, Classifier& model, torch::optim::Optimizer* optimizer,
                     WeightAverage* average = nullptr);

/// Throws Error{numerical} naming the checkpoint when a weight or a statistic of its model is not finite, as its
/// predictions would not be either.
void require_finite(const std::filesystem::path& path, const Classifier& model);

}  // namespace ulmus::detail
