#include <fmt/format.h>

#include "nn/backbones.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

using torch::nn::BatchNorm1d;
using torch::nn::Linear;
using torch::nn::LinearOptions;

/// The keys of `mlp:layers=2,width=256,dropout=0.1`.
struct MlpShape {
  std::int64_t layers = 2;
  std::int64_t width = 256;
  double dropout = 0.1;
};

MlpShape parse_shape(const std::string& name) {
  static const std::vector<std::string> keys = {"layers", "width", "dropout"};
  MlpShape shape;
  const std::string argument = argument_of(name);
  if (argument.empty()) return shape;
  for (const std::string& setting : split(argument, ',')) {
    const std::string key = setting.substr(0, setting.find('='));
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      throw Error(ErrorKind::usage, fmt::format("unknown key '{}' in model '{}'; {}", key, name, suggest(key, keys)));
    const std::string value = key == setting ? "" : setting.substr(key.size() + 1), what = "mlp:" + key;
    if (key == "layers") shape.layers = parse_integer(value, what);
    if (key == "width") shape.width = parse_integer(value, what);
    if (key == "dropout") shape.dropout = parse_number(value, what);
  }
  const auto need = [&](bool holds, const char* expected) {
    if (!holds) throw Error(ErrorKind::usage, fmt::format("model '{}' needs {}", name, expected));
  };
  need(shape.layers >= 1 && shape.layers <= 64, "layers from 1 to 64");
  need(shape.width >= 1 && shape.width <= 65536, "a width from 1 to 65536");
  need(shape.dropout >= 0 && shape.dropout < 1, "dropout in [0, 1)");
  return shape;
}

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
  /// Dropout from a stream of our own: LibTorch's generator is shared by everything that trains in the process.
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
  return std::make_shared<Mlp>(options, parse_shape(options.name));
}

double mlp_parameters(const ModelOptions& options) {
  const MlpShape shape = parse_shape(options.name);
  const auto width = static_cast<double>(shape.width), layers = static_cast<double>(shape.layers),
             inputs = static_cast<double>(options.channels * options.height * options.width);
  return width * (inputs + (layers - 1) * width + static_cast<double>(options.classes));
}

std::shared_ptr<ClassifierImpl> make_linear(const ModelOptions& options) {
  return std::make_shared<LinearModel>(options);
}

}  // namespace ulmus::detail
