#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ulmus/loss/family.hpp"

namespace ulmus {

/// The options from which a classifier is built. Feature vectors are images of 1x1 with one channel per feature.
struct ModelOptions {
  std::string name;           ///< one of model_names(), `mlp:KEY=VALUE,...` or `torchscript:FILE`
  std::int64_t channels = 3;  ///< of the images [N, channels, height, width]
  std::int64_t height = 32;
  std::int64_t width = 32;
  std::int64_t classes = 10;
  Head head = Head::linear;
  std::filesystem::path script = {};  ///< the file of `torchscript:`. It is code, so `name` alone never opens it
  std::string script_sha256 = {};     ///< expected hash of that file; empty: any
};

/// For images:
/// - `conv3`: three convolutions with batch norm, for small grey images;
/// - `resnet20`, `resnet32`, `resnet44`, `resnet56`: the CIFAR family of He et al. 2016, option A shortcuts;
/// - `wrn28-10`: Zagoruyko and Komodakis 2016, depth 28, width 10, without dropout;
/// - `resnet18`, `resnet50`, `resnext50` (32x4d): structure and names as in torchvision;
/// - `efficientnet-lite0`, `-lite1`, `-lite2`: TensorFlow's EfficientNet-Lite (Tan and Le 2019, without squeeze and
///   excitation, with ReLU6), with the tensor names of timm and TensorFlow's `SAME` padding.
///
/// For features, and for images flattened to vectors:
/// - `mlp`: linear layers, each followed by batch norm, ReLU and dropout; keys `layers` (2), `width` (256), `dropout`
///   (0.1);
/// - `linear`: no backbone, the head directly on the input.
///
/// Not included, because it needs a file: `torchscript:FILE`, a TorchScript module that maps images [N, C, H, W] (or
/// features [N, D]) to features [N, D']. ModelOptions::script is the file that is loaded; FILE in the name is only a
/// record. Nor `trees` (module trees), which are not a network.
const std::vector<std::string>& model_names();

/// Maximum number of values per sample: channels x height x width.
inline constexpr std::int64_t k_most_values = std::int64_t{1} << 26;

/// Throws Error{usage} for sizes below 1 and for samples of more than k_most_values.
void check_sizes(const ModelOptions& options);

/// A lower bound of parameter_count(), computed without making the model: counts the tensors whose size depends on the
/// options. Throws Error{usage} for a name or key for which make_model throws.
double least_parameters(const ModelOptions& options);

/// The default model for samples of this shape: `mlp` for features, `conv3` for grey images up to 28x28, otherwise
/// `resnet32`.
std::string default_model(std::int64_t channels, std::int64_t height, std::int64_t width);

}  // namespace ulmus
