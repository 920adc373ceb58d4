#pragma once

#include <string>

#include "train/trained.hpp"

namespace ulmus::detail {

/// Throws Error{usage} unless a TorchScript can be made of the model: conv3, the CIFAR ResNets, mlp and linear.
void require_scriptable(const ModelOptions& model);

/// The bytes of a TorchScript archive: float images [N, channels, height, width] in [0, 1] to probabilities [N, C];
/// where height and width are 1, features [N, channels] are taken as well.
/// Its parameters and buffers have the model's names; the attribute `class_names` has those of the classes, `encoding`
/// that of a table.
///
/// LibTorch traces and scripts Python only. So the modules are made anew, with the model's own tensors, and get as
/// `forward` a source text that says what the C++ model computes.
std::string encode_torchscript(const TrainedMember& member, const Classifier& model);

/// Reads an archive and gives its probabilities of `images`. Throws Error{environment} when it cannot be run.
torch::Tensor run_torchscript(const std::filesystem::path& path, const torch::Tensor& images);

}  // namespace ulmus::detail
