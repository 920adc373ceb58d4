#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "ulmus/nn/model_options.hpp"
#include "ulmus/torch/margin_loss.hpp"

namespace ulmus {

/// A backbone and its head. The parameters of `resnet*`, `resnext50` and `conv3` have torchvision's names (conv1, bn1,
/// layer1.0.conv1, ..., fc), those of `efficientnet-lite*` timm's (conv_stem, blocks.0.0.conv_dw, ..., but fc for the
/// head), and those of a TorchScript backbone its own, prefixed with `backbone.`.
class ClassifierImpl : public torch::nn::Module {
 public:
  /// Maps images, float [N, channels, height, width], or features [N, D], to features, float [N, D'].
  virtual torch::Tensor features(const torch::Tensor& images) = 0;
  /// Maps features to the head's output [N, C].
  virtual torch::Tensor classify(const torch::Tensor& features);
  /// Maps images to the head's output [N, C].
  torch::Tensor forward(const torch::Tensor& images) { return classify(features(images)); }
  /// These features and the head, for losses that use them.
  HeadInputs head_inputs(const torch::Tensor& features) const;

  /// Sets the training step. Random draws in training mode (the dropout of `mlp`) come from Stream(seed, "dropout",
  /// step, layer). The draws of a TorchScript module are its own.
  void set_step(std::uint64_t seed, std::int64_t step);

  /// SHA-256 of the file of a TorchScript backbone; empty for other models.
  virtual std::string script_sha256() const { return {}; }

  /// Returns whether initialise() uses the fan-out of convolutions, as in the published recipe of the model.
  virtual bool starts_from_fan_out() const { return false; }

 protected:
  /// Registers `fc`, the head on `width` features.
  void add_head(std::int64_t width, const ModelOptions& options);
  /// Registers the head of another model as `fc`; both share its parameters.
  void share_head(const ClassifierImpl& other);

  std::uint64_t seed_ = 0;
  std::uint64_t step_ = 0;

 private:
  torch::nn::AnyModule fc_;
};
TORCH_MODULE(Classifier);

/// Throws Error{usage} for an unknown model or key (with the nearest name), a key out of range, samples that the model
/// does not support, and `torchscript:` without a script; Error{data} for a file that is not a TorchScript module, has
/// another SHA-256 or does not return [N, D'].
Classifier make_model(const ModelOptions& options);

/// Initialises every parameter from Stream(seed, "init", position): Kaiming normal (gain sqrt 2) for the weights of
/// convolutions (fan-in; fan-out if starts_from_fan_out()) and linear layers (fan-in), uniform(+-1/sqrt(fan-in)) for
/// linear biases, 1 and 0 for batch norm; cosine heads uniform(-1, 1), then unit norm per class. The backbone of
/// `torchscript:` keeps the weights of its file. Uses the library's own random numbers, so a seed gives the same
/// weights with every LibTorch version.
void initialise(Classifier& model, std::uint64_t seed);

/// The head of a model as a classifier of its features, [N, D] or [N, D, 1, 1]. Both share the head's parameters.
Classifier head_alone(const Classifier& model);

std::int64_t parameter_count(const torch::nn::Module& model);

/// All parameters except those of the head.
std::vector<torch::Tensor> backbone_parameters(const ClassifierImpl& model);

}  // namespace ulmus
