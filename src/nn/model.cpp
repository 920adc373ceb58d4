#include "ulmus/nn/model.hpp"

#include <fmt/format.h>

#include <cmath>

#include "nn/backbones.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/nn/cosine_linear.hpp"

namespace ulmus {
namespace {

constexpr std::int64_t k_smallest_side = 8;  // three resolutions of at least 2 pixels

/// Fills a tensor with draw(), in memory order.
template <class Draw>
void fill(torch::Tensor parameter, Draw&& draw) {
  auto values = torch::empty(parameter.sizes(), torch::kFloat);
  float* data = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) data[i] = static_cast<float>(draw());
  parameter.copy_(values);
}

std::int64_t fan_in(const torch::Tensor& weight) { return weight.numel() / weight.size(0); }

}  // namespace

const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names = {"conv3", "resnet20", "resnet32", "resnet44", "resnet56"};
  return names;
}

std::string default_model(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return channels == 1 && height <= 28 && width <= 28 ? "conv3" : "resnet32";
}

torch::Tensor ClassifierImpl::classify(const torch::Tensor& features) { return fc_.forward(features); }

HeadInputs ClassifierImpl::head_inputs(const torch::Tensor& features) const {
  const auto parameters = named_parameters();
  const torch::Tensor* bias = parameters.find("fc.bias");
  return {.features = features, .weight = parameters["fc.weight"], .bias = bias ? *bias : torch::Tensor()};
}

void ClassifierImpl::add_head(std::int64_t width, const ModelOptions& options) {
  if (options.head == Head::cosine)
    fc_ = torch::nn::AnyModule(CosineLinear(width, options.classes));
  else
    fc_ = torch::nn::AnyModule(torch::nn::Linear(width, options.classes));
  register_module("fc", fc_.ptr());
}

Classifier make_model(const ModelOptions& options) {
  const auto& names = model_names();
  if (std::find(names.begin(), names.end(), options.name) == names.end())
    throw Error(ErrorKind::usage, fmt::format("unknown model '{}'; {}", options.name, suggest(options.name, names)));
  if (std::min(options.height, options.width) < k_smallest_side)
    throw Error(ErrorKind::usage,
                fmt::format("the images are {}x{}, model '{}' needs at least {}x{}; enlarge them with --image-size {}",
                            options.height, options.width, options.name, k_smallest_side, k_smallest_side, 32));
  if (options.name == "conv3") return Classifier(detail::make_conv3(options));
  return Classifier(detail::make_resnet(options, parse_integer(options.name.substr(6), "the depth of the model")));
}

void initialise(Classifier& model, std::uint64_t seed) {
  const torch::NoGradGuard no_gradient;
  std::uint64_t position = 0;
  for (const auto& module : model->modules(/*include_self=*/false)) {
    Stream stream(seed, "init", position++);
    const auto kaiming = [&](const torch::Tensor& weight) {
      const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in(weight)));
      fill(weight, [&] { return deviation * stream.normal(); });
    };
    if (auto* conv = module->as<torch::nn::Conv2dImpl>()) {
      kaiming(conv->weight);
    } else if (auto* linear = module->as<torch::nn::LinearImpl>()) {
      kaiming(linear->weight);
      const double bound = 1 / std::sqrt(static_cast<double>(fan_in(linear->weight)));
      fill(linear->bias, [&] { return bound * (2 * stream.uniform() - 1); });
    } else if (auto* cosine = module->as<CosineLinearImpl>()) {
      fill(cosine->weight, [&] { return 2 * stream.uniform() - 1; });
      cosine->weight.div_(cosine->weight.norm(2, {1}, true));
    } else if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      norm->weight.fill_(1);
      norm->bias.zero_();
    }
  }
}

std::int64_t parameter_count(const torch::nn::Module& model) {
  std::int64_t count = 0;
  for (const auto& parameter : model.parameters()) count += parameter.numel();
  return count;
}

}  // namespace ulmus
