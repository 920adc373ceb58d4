#include "nn/backbones.hpp"

namespace ulmus::detail {
namespace {

using torch::nn::BatchNorm2d;
using torch::nn::Conv2d;
using torch::nn::Sequential;

/// Norm and ReLU before each convolution; if the width changes, the shortcut is projected from the activated input.
class WideBlockImpl : public torch::nn::Module {
 public:
  WideBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride)
      : bn1_(register_module("bn1", BatchNorm2d(in))),
        conv1_(register_module("conv1", padded_conv(in, out, 3, stride))),
        bn2_(register_module("bn2", BatchNorm2d(out))),
        conv2_(register_module("conv2", padded_conv(out, out, 3, 1))) {
    if (in != out) shortcut_ = register_module("shortcut", padded_conv(in, out, 1, stride));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const auto activated = bn1_(x).relu_();
    const auto y = conv2_(bn2_(conv1_(activated)).relu_());
    return y + (shortcut_.is_empty() ? x : shortcut_(activated));
  }

 private:
  BatchNorm2d bn1_;
  Conv2d conv1_;
  BatchNorm2d bn2_;
  Conv2d conv2_;
  Conv2d shortcut_ = nullptr;
};
TORCH_MODULE(WideBlock);

class WideResNet : public ClassifierImpl {
 public:
  explicit WideResNet(const ModelOptions& options)
      : conv1_(register_module("conv1", padded_conv(options.channels, 16, 3, 1))),
        layer1_(register_module("layer1", make_layer(16, 16 * k_widen, 1))),
        layer2_(register_module("layer2", make_layer(16 * k_widen, 32 * k_widen, 2))),
        layer3_(register_module("layer3", make_layer(32 * k_widen, 64 * k_widen, 2))),
        bn1_(register_module("bn1", BatchNorm2d(64 * k_widen))) {
    add_head(64 * k_widen, options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    const auto x = layer3_->forward(layer2_->forward(layer1_->forward(conv1_(images))));
    return bn1_(x).relu_().mean({2, 3});
  }

  bool starts_from_fan_out() const override { return true; }

 private:
  static constexpr std::int64_t k_widen = 10;
  static constexpr std::int64_t k_blocks = (28 - 4) / 6;

  static Sequential make_layer(std::int64_t in, std::int64_t out, std::int64_t stride) {
    Sequential layer{WideBlock(in, out, stride)};
    for (std::int64_t i = 1; i < k_blocks; ++i) layer->push_back(WideBlock(out, out, 1));
    return layer;
  }

  Conv2d conv1_;
  Sequential layer1_, layer2_, layer3_;
  BatchNorm2d bn1_;
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_wide_resnet(const ModelOptions& options) {
  return std::make_shared<WideResNet>(options);
}

}  // namespace ulmus::detail
