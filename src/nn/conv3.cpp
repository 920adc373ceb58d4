#include "nn/backbones.hpp"

namespace ulmus::detail {
namespace {

using torch::nn::BatchNorm2d;
using torch::nn::Conv2d;

/// Three 3x3 convolutions with batch norm; 2x2 max pooling before the first two norms, where it saves three quarters of
/// their work; global average pooling at the end.
class Conv3 : public ClassifierImpl {
 public:
  explicit Conv3(const ModelOptions& options)
      : conv1_(add_conv("conv1", options.channels, k_width)),
        conv2_(add_conv("conv2", k_width, 2 * k_width)),
        conv3_(add_conv("conv3", 2 * k_width, 4 * k_width)),
        bn1_(register_module("bn1", BatchNorm2d(k_width))),
        bn2_(register_module("bn2", BatchNorm2d(2 * k_width))),
        bn3_(register_module("bn3", BatchNorm2d(4 * k_width))) {
    add_head(4 * k_width, options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    auto x = bn1_(torch::max_pool2d(conv1_(images), 2)).relu_();
    x = bn2_(torch::max_pool2d(conv2_(x), 2)).relu_();
    return bn3_(conv3_(x)).relu_().mean({2, 3});
  }

 private:
  static constexpr std::int64_t k_width = 16;

  Conv2d add_conv(const char* name, std::int64_t in, std::int64_t out) {
    return register_module(name, padded_conv(in, out, 3));
  }

  Conv2d conv1_, conv2_, conv3_;
  BatchNorm2d bn1_, bn2_, bn3_;
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_conv3(const ModelOptions& options) { return std::make_shared<Conv3>(options); }

}  // namespace ulmus::detail
