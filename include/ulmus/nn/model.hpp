#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/family.hpp"
#include "ulmus/torch/margin_loss.hpp"

namespace ulmus {

/// What a classifier is built from. Feature vectors are images of 1x1 with as many channels as there are features.
struct ModelOptions {
  std::string name;           ///< one of model_names(), `mlp:KEY=VALUE,...` or `torchscript:FILE`
  std::int64_t channels = 3;  ///< of the images [N, channels, height, width]
  std::int64_t height = 32;
  std::int64_t width = 32;
  std::int64_t classes = 10;
  Head head = Head::linear;
  std::filesystem::path script = {};  ///< the file of `torchscript:`. It is code, so `name` alone never opens one
  std::string script_sha256 = {};     ///< of that file; empty: any
};

/// For images:
/// - `conv3`: three convolutions with batch norm, for small grey images;
/// - `resnet20`, `resnet32`, `resnet44`, `resnet56`: the CIFAR family of He et al. 2016, option A shortcuts;
/// - `wrn28-10`: Zagoruyko and Komodakis 2016, depth 28, width 10, without dropout;
/// - `resnet18`, `resnet50`, `resnext50` (32x4d): as torchvision builds and names them.
///
/// For features, and for images as vectors of their pixels:
/// - `mlp`: linear layers, each followed by batch norm, ReLU and dropout; keys `layers` (2), `width` (256), `dropout`
///   (0.1);
/// - `linear`: no backbone, the head on the input as it is.
///
/// Not among these names, as it needs a file: `torchscript:FILE`, a TorchScript module from images [N, C, H, W] (or
/// features [N, D]) to features [N, D']. What is loaded is ModelOptions::script; the FILE of the name is a record.
const std::vector<std::string>& model_names();

/// The most values of one sample: channels x height x width.
inline constexpr std::int64_t k_most_values = std::int64_t{1} << 26;

/// Throws Error{usage} for sizes below 1 and for samples of more than k_most_values.
void check_sizes(const ModelOptions& options);

/// A lower bound of parameter_count(), found without making the model: of the tensors whose size the options decide.
/// Throws Error{usage} for a name or a key that make_model refuses.
double least_parameters(const ModelOptions& options);

/// The model that suits samples of this shape: `mlp` for features, `conv3` for grey images up to 28x28, otherwise
/// `resnet32`.
std::string default_model(std::int64_t channels, std::int64_t height, std::int64_t width);

/// A backbone and its head. The parameters of `resnet*`, `resnext50` and `conv3` carry torchvision's names (conv1, bn1,
/// layer1.0.conv1, ..., fc); those of a TorchScript backbone its own, after `backbone.`.
class ClassifierImpl : public torch::nn::Module {
 public:
  /// Images, float [N, channels, height, width], or features [N, D], to features, float [N, D'].
  virtual torch::Tensor features(const torch::Tensor& images) = 0;
  /// Features to the head's output [N, C].
  torch::Tensor classify(const torch::Tensor& features);
  /// Images to the head's output [N, C].
  torch::Tensor forward(const torch::Tensor& images) { return classify(features(images)); }
  /// These features and the head, for the losses that look at them.
  HeadInputs head_inputs(const torch::Tensor& features) const;

  /// Where training is. What a model draws in training mode (the dropout of `mlp`) comes from Stream(seed, "dropout",
  /// step, layer). A TorchScript module draws what it draws.
  void set_step(std::uint64_t seed, std::int64_t step);

  /// SHA-256 of the file of a TorchScript backbone; empty for other models.
  virtual std::string script_sha256() const { return {}; }

  /// Whether initialise() starts the convolutions from their fan-out, as the published recipe of the model has it.
  virtual bool starts_from_fan_out() const { return false; }

 protected:
  /// Registers `fc`, the head over `width` features.
  void add_head(std::int64_t width, const ModelOptions& options);

  std::uint64_t seed_ = 0;
  std::uint64_t step_ = 0;

 private:
  torch::nn::AnyModule fc_;
};
TORCH_MODULE(Classifier);

/// Throws Error{usage} for an unknown model or key (with the nearest name), a key out of range, and samples that the
/// model cannot take, and for `torchscript:` without a script; Error{data} for a file that is no TorchScript module,
/// has another SHA-256 or gives anything but [N, D'].
Classifier make_model(const ModelOptions& options);

/// Sets every parameter anew from Stream(seed, "init", position): Kaiming normal (gain sqrt 2) for the weights of
/// convolutions (fan-in; fan-out where starts_from_fan_out()) and linear layers (fan-in), uniform(+-1/sqrt(fan-in)) for
/// linear biases, 1 and 0 for batch norm; cosine heads uniform(-1, 1), then unit norm per class. The backbone of
/// `torchscript:` keeps the weights of its file. The library's own numbers, so a seed gives the same weights with every
/// LibTorch.
void initialise(Classifier& model, std::uint64_t seed);

std::int64_t parameter_count(const torch::nn::Module& model);

/// The parameters below the head.
std::vector<torch::Tensor> backbone_parameters(const ClassifierImpl& model);

}  // namespace ulmus
