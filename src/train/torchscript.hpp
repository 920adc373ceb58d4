#pragma once

#include <string>

#include "train/checkpointed_model.hpp"

namespace ulmus::detail {

/// Throws Error{usage} unless the model can be exported to TorchScript: conv3, the CIFAR ResNets, mlp and linear.
void require_scriptable(const ModelOptions& model);

/// The bytes of a TorchScript archive that maps float images [N, channels, height, width] in [0, 1] to probabilities
/// [N, C]; if height and width are 1, it also accepts features [N, channels]. Its parameters and buffers have the
/// model's names; the attribute `class_names` has the class names, and `encoding` the encoding of a table.
///
/// LibTorch can trace and script only Python. Therefore the modules are rebuilt from the tensors of the model, with the
/// source text of a `forward` that computes the same as the C++ model.
std::string encode_torchscript(const CheckpointedModel& trained, const Classifier& model);

/// Reads an archive and returns its probabilities for `images`. Throws Error{environment} if it cannot be run.
torch::Tensor run_torchscript(const std::filesystem::path& path, const torch::Tensor& images);

}  // namespace ulmus::detail
