#include "nn/backbones.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

using torch::indexing::Slice;
using torch::nn::BatchNorm2d;
using torch::nn::Conv2d;
using torch::nn::Sequential;

class BasicBlockImpl : public torch::nn::Module {
 public:
  BasicBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride)
      : conv1_(register_module("conv1", padded_conv(in, out, 3, stride))),
        bn1_(register_module("bn1", BatchNorm2d(out))),
        conv2_(register_module("conv2", padded_conv(out, out, 3))),
        bn2_(register_module("bn2", BatchNorm2d(out))),
        added_channels_(out - in) {}

  torch::Tensor forward(const torch::Tensor& x) {
    const auto y = bn2_(conv2_(torch::relu(bn1_(conv1_(x)))));
    return torch::relu(y + (added_channels_ == 0 ? x : shortcut(x)));
  }

 private:
  /// Option A: every second row and column, and zeros for the new channels, half of them on each side. No parameters.
  torch::Tensor shortcut(const torch::Tensor& x) const {
    const auto thinned =
        x.index({Slice(), Slice(), Slice(0, torch::indexing::None, 2), Slice(0, torch::indexing::None, 2)});
    return torch::constant_pad_nd(thinned, {0, 0, 0, 0, added_channels_ / 2, added_channels_ / 2});
  }

  Conv2d conv1_;
  BatchNorm2d bn1_;
  Conv2d conv2_;
  BatchNorm2d bn2_;
  std::int64_t added_channels_;
};
TORCH_MODULE(BasicBlock);

class ResNet : public ClassifierImpl {
 public:
  ResNet(const ModelOptions& options, std::int64_t blocks)
      : conv1_(register_module("conv1", padded_conv(options.channels, 16, 3))),
        bn1_(register_module("bn1", BatchNorm2d(16))),
        layer1_(register_module("layer1", make_layer(16, 16, 1, blocks))),
        layer2_(register_module("layer2", make_layer(16, 32, 2, blocks))),
        layer3_(register_module("layer3", make_layer(32, 64, 2, blocks))) {
    add_head(64, options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    const auto x = torch::relu(bn1_(conv1_(images)));
    return layer3_->forward(layer2_->forward(layer1_->forward(x))).mean({2, 3});
  }

 private:
  static Sequential make_layer(std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t blocks) {
    Sequential layer{BasicBlock(in, out, stride)};
    for (std::int64_t i = 1; i < blocks; ++i) layer->push_back(BasicBlock(out, out, 1));
    return layer;
  }

  Conv2d conv1_;
  BatchNorm2d bn1_;
  Sequential layer1_, layer2_, layer3_;
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_cifar_resnet(const ModelOptions& options) {
  const std::int64_t depth = parse_integer(options.name.substr(6), "the depth of the model");
  return std::make_shared<ResNet>(options, (depth - 2) / 6);
}

}  // namespace ulmus::detail
