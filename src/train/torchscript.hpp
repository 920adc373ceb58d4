#pragma once

#include <string>

#include "train/checkpointed_model.hpp"

namespace ulmus::detail {

/// Throws Error{usage} unless a TorchScript can be made of the model: conv3, the CIFAR ResNets, mlp and linear.
void require_scriptable(const ModelOptions& model);

/// The bytes of a TorchScript archive: float images [N, channels, height, width] in [0, 1] to probabilities [N, C];
/// where height and width are 1, features [N, channels] are taken as well.
/// Its parameters and buffers have the model's names; the attribute `class_names` has those of the classes, `encoding`
/// that of a table.
///
/// LibTorch traces and scripts Python only. So the modules are built again from the tensors of the model, and get the
/// source text of a `forward` that computes what the C++ model does.
std::string encode_torchscript(const CheckpointedModel& trained, const Classifier& model);

/// Reads an archive and gives its probabilities of `images`. Throws Error{environment} when it cannot be run.
torch::Tensor run_torchscript(const std::filesystem::path& path, const torch::Tensor& images);

}  // namespace ulmus::detail
