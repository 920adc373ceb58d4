#include "ulmus/nn/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "nn/backbones.hpp"
#include "nn/model_kinds.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/nn/cosine_linear.hpp"

namespace ulmus {
namespace {

using Make = std::shared_ptr<ClassifierImpl> (*)(const ModelOptions&);

Make maker_of(const std::string& kind) {
  static const std::map<std::string, Make> makers = {{"conv3", detail::make_conv3},
                                                     {"resnet20", detail::make_cifar_resnet},
                                                     {"resnet32", detail::make_cifar_resnet},
                                                     {"resnet44", detail::make_cifar_resnet},
                                                     {"resnet56", detail::make_cifar_resnet},
                                                     {"wrn28-10", detail::make_wide_resnet},
                                                     {"resnet18", detail::make_resnet18},
                                                     {"resnet50", detail::make_resnet50},
                                                     {"resnext50", detail::make_resnext50},
                                                     {"efficientnet-lite0", detail::make_efficientnet_lite},
                                                     {"efficientnet-lite1", detail::make_efficientnet_lite},
                                                     {"efficientnet-lite2", detail::make_efficientnet_lite},
                                                     {"mlp", detail::make_mlp},
                                                     {"linear", detail::make_linear},
                                                     {"torchscript", detail::make_torchscript}};
  return makers.at(kind);
}

/// Fills a tensor with draw(), in memory order.
template <class Draw>
void fill(torch::Tensor parameter, Draw&& draw) {
  auto values = torch::empty(parameter.sizes(), torch::kFloat);
  float* data = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) data[i] = static_cast<float>(draw());
  parameter.copy_(values);
}

std::int64_t fan_in(const torch::Tensor& weight) { return weight.numel() / weight.size(0); }
std::int64_t fan_out(const torch::Tensor& weight) { return weight.numel() / weight.size(1); }

}  // namespace

torch::Tensor ClassifierImpl::classify(const torch::Tensor& features) { return fc_.forward(features); }

HeadInputs ClassifierImpl::head_inputs(const torch::Tensor& features) const {
  const auto parameters = named_parameters();
  const torch::Tensor* bias = parameters.find("fc.bias");
  return {.features = features, .weight = parameters["fc.weight"], .bias = bias ? *bias : torch::Tensor()};
}

void ClassifierImpl::set_step(std::uint64_t seed, std::int64_t step) {
  seed_ = seed;
  step_ = static_cast<std::uint64_t>(step);
}

void ClassifierImpl::add_head(std::int64_t width, const ModelOptions& options) {
  if (options.head == Head::cosine)
    fc_ = torch::nn::AnyModule(CosineLinear(width, options.classes));
  else
    fc_ = torch::nn::AnyModule(torch::nn::Linear(width, options.classes));
  register_module("fc", fc_.ptr());
}

void ClassifierImpl::share_head(const ClassifierImpl& other) {
  fc_ = other.fc_;
  register_module("fc", fc_.ptr());
}

Classifier make_model(const ModelOptions& options) {
  const detail::ModelKind& kind = detail::model_kind(options.name);
  check_sizes(options);
  const std::int64_t side = std::min(options.height, options.width), needed = kind.smallest_side;
  if (side < needed && options.height * options.width == 1)
    throw_usage(
        fmt::format("the data are vectors of {} features, but model '{}' takes images; choose mlp, linear or trees",
                    options.channels, options.name));
  if (side < needed)
    throw_usage(fmt::format("the images are {}x{}, model '{}' needs at least {}x{}; enlarge them with {}",
                            options.height, options.width, options.name, needed, needed,
                            option_name("image_size", "32")));
  if (kind.name == "trees") throw_usage("the model 'trees' is not a network; choose mlp or linear");
  return Classifier(maker_of(kind.name)(options));
}

void initialise(Classifier& model, std::uint64_t seed) {
  const torch::NoGradGuard no_gradient;
  std::uint64_t position = 0;
  for (const auto& module : model->modules(/*include_self=*/false)) {
    Stream stream(seed, "init", position++);
    const auto kaiming = [&](const torch::Tensor& weight, std::int64_t fan) {
      const double deviation = std::sqrt(2.0 / static_cast<double>(fan));
      fill(weight, [&] { return deviation * stream.normal(); });
    };
    const auto set_norm = [](auto& norm) {
      norm.weight.fill_(1);
      norm.bias.zero_();
    };
    if (auto* conv = module->as<torch::nn::Conv2dImpl>()) {
      kaiming(conv->weight, model->starts_from_fan_out() ? fan_out(conv->weight) : fan_in(conv->weight));
    } else if (auto* linear = module->as<torch::nn::LinearImpl>()) {
      kaiming(linear->weight, fan_in(linear->weight));
      if (!linear->bias.defined()) continue;
      const double bound = 1 / std::sqrt(static_cast<double>(fan_in(linear->weight)));
      fill(linear->bias, [&] { return bound * (2 * stream.uniform() - 1); });
    } else if (auto* cosine = module->as<CosineLinearImpl>()) {
      fill(cosine->weight, [&] { return 2 * stream.uniform() - 1; });
      cosine->weight.div_(cosine->weight.norm(2, {1}, true));
    } else if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      set_norm(*norm);
    } else if (auto* vector_norm = module->as<torch::nn::BatchNorm1dImpl>()) {
      set_norm(*vector_norm);
    }
  }
}

Classifier head_alone(const Classifier& model) {
  class HeadAlone : public ClassifierImpl {
   public:
    explicit HeadAlone(const ClassifierImpl& whole) { share_head(whole); }
    torch::Tensor features(const torch::Tensor& vectors) override { return vectors.flatten(1); }
  };
  return Classifier(std::shared_ptr<ClassifierImpl>(std::make_shared<HeadAlone>(*model)));
}

std::int64_t parameter_count(const torch::nn::Module& model) {
  std::int64_t count = 0;
  for (const auto& parameter : model.parameters()) count += parameter.numel();
  return count;
}

std::vector<torch::Tensor> backbone_parameters(const ClassifierImpl& model) {
  std::vector<torch::Tensor> parameters;
  for (const auto& item : model.named_parameters())
    if (!item.key().starts_with("fc.")) parameters.push_back(item.value());
  return parameters;
}

}  // namespace ulmus
