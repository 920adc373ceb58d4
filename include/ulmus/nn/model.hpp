#pragma once

#include <torch/torch.h>

#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/family.hpp"
#include "ulmus/torch/margin_loss.hpp"

namespace ulmus {

/// What a classifier is built from.
struct ModelOptions {
  std::string name;           ///< a name of model_names()
  std::int64_t channels = 3;  ///< of the images [N, channels, height, width]
  std::int64_t height = 32;
  std::int64_t width = 32;
  std::int64_t classes = 10;
  Head head = Head::linear;
};

/// `conv3` (three convolutions with batch norm, for small grey images), `resnet20`, `resnet32`, `resnet44`, `resnet56`
/// (the CIFAR family of He et al. 2016, option A shortcuts).
const std::vector<std::string>& model_names();

/// The model that suits images of this shape: `conv3` up to 28x28, otherwise `resnet32`.
std::string default_model(std::int64_t channels, std::int64_t height, std::int64_t width);

/// A backbone and its head. Parameters carry torchvision's names (conv1, bn1, layer1.0.conv1, ..., fc).
class ClassifierImpl : public torch::nn::Module {
 public:
  /// Images, float [N, channels, height, width], to features, float [N, D].
  virtual torch::Tensor features(const torch::Tensor& images) = 0;
  /// Features to the head's output [N, C].
  torch::Tensor classify(const torch::Tensor& features);
  /// Images to the head's output [N, C].
  torch::Tensor forward(const torch::Tensor& images) { return classify(features(images)); }
  /// These features and the head, for the losses that look at them.
  HeadInputs head_inputs(const torch::Tensor& features) const;

 protected:
  /// Registers `fc`, the head over `width` features.
  void add_head(std::int64_t width, const ModelOptions& options);

 private:
  torch::nn::AnyModule fc_;
};
TORCH_MODULE(Classifier);

/// Throws Error{usage} for an unknown model (with the nearest name) and for images too small for it.
Classifier make_model(const ModelOptions& options);

/// Sets every parameter anew from Stream(seed, "init", position): Kaiming normal (fan-in, gain sqrt 2) for convolution
/// and linear weights, uniform(+-1/sqrt(fan-in)) for linear biases, 1 and 0 for batch norm; cosine heads uniform(-1,
/// 1), then unit norm per class. The library's own numbers, so a seed gives the same weights with every LibTorch.
void initialise(Classifier& model, std::uint64_t seed);

std::int64_t parameter_count(const torch::nn::Module& model);

}  // namespace ulmus
