#include "nn/backbones.hpp"

namespace ulmus::detail {
namespace {

using torch::nn::BatchNorm2d;
using torch::nn::Conv2d;
using torch::nn::Sequential;

/// The parameters of a block. `width` is that of its middle; `out` is four times the stage's planes with a bottleneck.
struct BlockShape {
  std::int64_t in;
  std::int64_t width;
  std::int64_t out;
  std::int64_t stride;
  std::int64_t groups;
};

/// The convolutions of a block with their norms, and a projection if the shape changes (option B).
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const BlockShape& shape, bool bottleneck) {
    if (bottleneck) {
      add(padded_conv(shape.in, shape.width, 1), shape.width);
      add(padded_conv(shape.width, shape.width, 3, shape.stride, shape.groups),
          shape.width);  // the stride of ResNet v1.5
      add(padded_conv(shape.width, shape.out, 1), shape.out);
    } else {
      add(padded_conv(shape.in, shape.out, 3, shape.stride), shape.out);
      add(padded_conv(shape.out, shape.out, 3), shape.out);
    }
    if (shape.stride != 1 || shape.in != shape.out)
      downsample_ = register_module(
          "downsample", Sequential(padded_conv(shape.in, shape.out, 1, shape.stride), BatchNorm2d(shape.out)));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (std::size_t i = 0; i < convs_.size(); ++i) {
      y = norms_[i](convs_[i](y));
      if (i + 1 < convs_.size()) y = y.relu_();
    }
    return y.add_(downsample_.is_empty() ? x : downsample_->forward(x)).relu_();
  }

 private:
  void add(Conv2d convolution, std::int64_t out) {
    const std::string number = std::to_string(convs_.size() + 1);
    convs_.push_back(register_module("conv" + number, std::move(convolution)));
    norms_.push_back(register_module("bn" + number, BatchNorm2d(out)));
  }

  std::vector<Conv2d> convs_;
  std::vector<BatchNorm2d> norms_;
  Sequential downsample_ = nullptr;
};
TORCH_MODULE(Block);

/// The differences between the models of the family.
struct Variant {
  std::int64_t blocks[4];
  bool bottleneck;
  std::int64_t groups;
  std::int64_t width_per_group;  ///< 64: the middle of a bottleneck is as wide as its planes
};

class TorchvisionResNet : public ClassifierImpl {
 public:
  TorchvisionResNet(const ModelOptions& options, const Variant& variant)
      : conv1_(register_module("conv1", padded_conv(options.channels, 64, 7, 2))),
        bn1_(register_module("bn1", BatchNorm2d(64))) {
    std::int64_t in = 64;
    for (std::int64_t stage = 0; stage < 4; ++stage) {
      const std::int64_t planes = 64 << stage;
      const std::int64_t width = planes * variant.width_per_group / 64 * variant.groups;
      const std::int64_t out = variant.bottleneck ? 4 * planes : planes;
      Sequential layer;
      for (std::int64_t i = 0; i < variant.blocks[stage]; ++i) {
        const std::int64_t stride = i == 0 && stage > 0 ? 2 : 1;
        layer->push_back(Block(BlockShape{in, width, out, stride, variant.groups}, variant.bottleneck));
        in = out;
      }
      layers_.push_back(register_module("layer" + std::to_string(stage + 1), layer));
    }
    add_head(in, options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    auto x = torch::max_pool2d(bn1_(conv1_(images)).relu_(), 3, 2, 1);
    for (Sequential& layer : layers_) x = layer->forward(x);
    return x.mean({2, 3});
  }

  bool starts_from_fan_out() const override { return true; }

 private:
  Conv2d conv1_;
  BatchNorm2d bn1_;
  std::vector<Sequential> layers_;
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_resnet18(const ModelOptions& options) {
  return std::make_shared<TorchvisionResNet>(options, Variant{{2, 2, 2, 2}, false, 1, 64});
}

std::shared_ptr<ClassifierImpl> make_resnet50(const ModelOptions& options) {
  return std::make_shared<TorchvisionResNet>(options, Variant{{3, 4, 6, 3}, true, 1, 64});
}

std::shared_ptr<ClassifierImpl> make_resnext50(const ModelOptions& options) {
  return std::make_shared<TorchvisionResNet>(options, Variant{{3, 4, 6, 3}, true, 32, 4});
}

}  // namespace ulmus::detail
