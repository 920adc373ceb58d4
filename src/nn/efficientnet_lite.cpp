#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/backbones.hpp"

namespace ulmus::detail {
namespace {

using torch::nn::BatchNorm2d;
using torch::nn::BatchNorm2dOptions;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;
using torch::nn::Sequential;

Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel = 1, std::int64_t stride = 1,
            std::int64_t groups = 1) {
  return Conv2d(Conv2dOptions(in, out, kernel).stride(stride).groups(groups).bias(false));
}

BatchNorm2d norm(std::int64_t channels) { return BatchNorm2d(BatchNorm2dOptions(channels).eps(1e-3).momentum(0.01)); }

/// Zeros before and after `size` values, so that a convolution returns ceil(size / stride) values: TensorFlow's `SAME`,
/// which puts the odd zero after.
std::pair<std::int64_t, std::int64_t> same_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride) {
  const std::int64_t outputs = (size + stride - 1) / stride;
  const std::int64_t padding = std::max<std::int64_t>((outputs - 1) * stride + kernel - size, 0);
  return {padding / 2, padding - padding / 2};
}

/// A convolution with `SAME` padding and its norm. In evaluation mode a norm is a factor and an offset per channel:
/// without gradients they are merged into the convolution, which saves a pass over its output.
torch::Tensor conv_norm(Conv2d& convolution, BatchNorm2d& normalisation, const torch::Tensor& x) {
  const auto& options = convolution->options;
  const std::int64_t kernel = options.kernel_size()->at(0), stride = options.stride()->at(0);
  const auto [top, bottom] = same_padding(x.size(2), kernel, stride);
  const auto [left, right] = same_padding(x.size(3), kernel, stride);
  const bool even = top == bottom && left == right;
  const torch::Tensor input = even ? x : torch::constant_pad_nd(x, {left, right, top, bottom});
  const auto convolve = [&](const torch::Tensor& weight, const torch::Tensor& bias) {
    return torch::conv2d(input, weight, bias, stride, even ? at::IntArrayRef{top, left} : at::IntArrayRef{0, 0}, 1,
                         options.groups());
  };
  if (normalisation->is_training() || torch::GradMode::is_enabled())
    return normalisation(convolve(convolution->weight, {}));
  const torch::Tensor factor =
      normalisation->weight / (normalisation->running_var + normalisation->options.eps()).sqrt();
  return convolve(convolution->weight * factor.view({-1, 1, 1, 1}),
                  normalisation->bias - normalisation->running_mean * factor);
}

struct BlockShape {
  std::int64_t in;
  std::int64_t out;
  std::int64_t kernel;  ///< kernel size of the depthwise convolution
  std::int64_t stride;
  std::int64_t expansion;  ///< 1: no expanding convolution
};

/// An inverted residual: expand, filter each channel, project; without squeeze and excitation.
class BlockImpl : public torch::nn::Module {
 public:
  explicit BlockImpl(const BlockShape& shape) : skips_(shape.stride == 1 && shape.in == shape.out) {
    const std::int64_t middle = shape.in * shape.expansion;
    const bool expands = shape.expansion != 1;
    if (expands) add("conv_pw", conv(shape.in, middle), middle);
    add("conv_dw", conv(middle, middle, shape.kernel, shape.stride, middle), middle);
    add(expands ? "conv_pwl" : "conv_pw", conv(middle, shape.out), shape.out);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (std::size_t i = 0; i < convs_.size(); ++i) {
      y = conv_norm(convs_[i], norms_[i], y);
      if (i + 1 < convs_.size()) y.clamp_(0, 6);
    }
    return skips_ ? y.add_(x) : y;
  }

 private:
  void add(const std::string& name, Conv2d convolution, std::int64_t out) {
    convs_.push_back(register_module(name, std::move(convolution)));
    norms_.push_back(register_module("bn" + std::to_string(convs_.size()), norm(out)));
  }

  std::vector<Conv2d> convs_;
  std::vector<BatchNorm2d> norms_;
  bool skips_;
};
TORCH_MODULE(Block);

/// A stage of blocks, for width and depth factors of 1.
struct Stage {
  std::int64_t blocks;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t expansion;
  std::int64_t out;
};

constexpr Stage k_stages[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
                              {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
constexpr std::int64_t k_stem = 32, k_features = 1280;  // the same in every Lite model

/// The nearest multiple of 8 that is at least nine tenths of the scaled number.
std::int64_t channels_at(double width, std::int64_t channels) {
  const double wanted = width * static_cast<double>(channels);
  const auto rounded = std::max<std::int64_t>(8, static_cast<std::int64_t>(wanted + 4) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * wanted ? rounded + 8 : rounded;
}

class EfficientNetLite : public ClassifierImpl {
 public:
  EfficientNetLite(const ModelOptions& options, double width, double depth)
      : stem_(register_module("conv_stem", conv(options.channels, k_stem, 3, 2))),
        stem_norm_(register_module("bn1", norm(k_stem))) {
    std::int64_t in = k_stem;
    torch::nn::ModuleList blocks;
    for (const Stage& stage : k_stages) {
      // The first and the last stage have the same depth in every Lite model.
      const bool fixed = &stage == std::begin(k_stages) || &stage == std::end(k_stages) - 1;
      const auto count =
          fixed ? stage.blocks : static_cast<std::int64_t>(std::ceil(depth * static_cast<double>(stage.blocks)));
      const std::int64_t out = channels_at(width, stage.out);
      Sequential layer;
      for (std::int64_t i = 0; i < count; ++i) {
        layer->push_back(Block(BlockShape{in, out, stage.kernel, i == 0 ? stage.stride : 1, stage.expansion}));
        in = out;
      }
      blocks->push_back(layer);
      stages_.push_back(layer);
    }
    register_module("blocks", blocks);
    head_ = register_module("conv_head", conv(in, k_features));
    head_norm_ = register_module("bn2", norm(k_features));
    add_head(k_features, options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    torch::Tensor x = conv_norm(stem_, stem_norm_, images).clamp_(0, 6);
    for (Sequential& stage : stages_) x = stage->forward(x);
    return conv_norm(head_, head_norm_, x).clamp_(0, 6).mean({2, 3});
  }

  bool starts_from_fan_out() const override { return true; }

 private:
  Conv2d stem_;
  BatchNorm2d stem_norm_;
  std::vector<Sequential> stages_;
  Conv2d head_ = nullptr;
  BatchNorm2d head_norm_ = nullptr;
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_efficientnet_lite(const ModelOptions& options) {
  struct Variant {
    double width;
    double depth;
  };
  constexpr Variant variants[] = {{1.0, 1.0}, {1.0, 1.1}, {1.1, 1.2}};
  const Variant variant = variants[options.name.back() - '0'];
  return std::make_shared<EfficientNetLite>(options, variant.width, variant.depth);
}

}  // namespace ulmus::detail
