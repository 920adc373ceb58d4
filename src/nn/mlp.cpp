#include <fmt/format.h>

#include "nn/backbones.hpp"
#include "nn/model_kinds.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus::detail {
namespace {

using torch::nn::BatchNorm1d;
using torch::nn::Linear;
using torch::nn::LinearOptions;

class Mlp : public ClassifierImpl {
 public:
  Mlp(const ModelOptions& options, const MlpShape& shape) : dropout_(shape.dropout) {
    std::int64_t in = options.channels * options.height * options.width;
    for (std::int64_t i = 1; i <= shape.layers; ++i) {
      linears_.push_back(register_module(fmt::format("fc{}", i), Linear(LinearOptions(in, shape.width).bias(false))));
      norms_.push_back(register_module(fmt::format("bn{}", i), BatchNorm1d(shape.width)));
      in = shape.width;
    }
    add_head(in, options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    auto x = images.flatten(1);
    for (std::size_t i = 0; i < linears_.size(); ++i) x = drop(norms_[i](linears_[i](x)).relu_(), i);
    return x;
  }

 private:
  /// Dropout from our own stream: LibTorch's generator is shared by everything that trains in the process.
  torch::Tensor drop(const torch::Tensor& x, std::size_t layer) const {
    if (!is_training() || dropout_ == 0) return x;
    Stream stream(seed_, "dropout", step_, layer);
    auto mask = torch::empty(x.sizes(), torch::kFloat);
    const auto kept = static_cast<float>(1 / (1 - dropout_));
    float* data = mask.data_ptr<float>();
    for (std::int64_t i = 0; i < mask.numel(); ++i) data[i] = stream.uniform() < dropout_ ? 0 : kept;
    return x * mask.to(x.device(), x.scalar_type());
  }

  double dropout_;
  std::vector<Linear> linears_;
  std::vector<BatchNorm1d> norms_;
};

class LinearModel : public ClassifierImpl {
 public:
  explicit LinearModel(const ModelOptions& options) {
    add_head(options.channels * options.height * options.width, options);
  }

  torch::Tensor features(const torch::Tensor& images) override { return images.flatten(1); }
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_mlp(const ModelOptions& options) {
  return std::make_shared<Mlp>(options, mlp_shape(options.name));
}

std::shared_ptr<ClassifierImpl> make_linear(const ModelOptions& options) {
  return std::make_shared<LinearModel>(options);
}

}  // namespace ulmus::detail
