#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "train/safetensors.hpp"
#include "ulmus/nn/model.hpp"

/// The backbone of a run that keeps it frozen. All models of such a run have the same backbone, so it is stored once,
/// in `backbone.safetensors` of the run folder. The checkpoints hold the head and the SHA-256 of the backbone
/// (CheckpointInfo::backbone_sha256).
namespace ulmus::detail {

/// Returns whether a tensor belongs to the backbone of a model: each one that is not of the head.
bool is_backbone_tensor(std::string_view name);

/// SHA-256 of the tensors of the backbone, with their names, as float on the CPU; without `num_batches_tracked`, which
/// no output depends on.
std::string backbone_sha256(const std::map<std::string, torch::Tensor>& tensors);
std::string backbone_sha256(const Classifier& model);

/// Writes the backbone of `model` to a run folder, unless it is there, and returns its SHA-256. Throws Error{data} if
/// the folder has another one.
std::string store_backbone(const std::filesystem::path& run, const Classifier& model);

/// Reads the tensors of a checkpoint, and those of the backbone that it shares with the others of its run. Throws
/// Error{data} if that file is missing or has another SHA-256.
TensorFile read_whole_model(const SafetensorsFile& checkpoint);

}  // namespace ulmus::detail
