#include "ulmus/nn/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/backbones.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/nn/cosine_linear.hpp"

namespace ulmus {
namespace {

/// Of a first convolution of 16 filters of 3x3 and a head over 64 features, the smallest in the table.
double convolution_parameters(const ModelOptions& options) {
  return 16 * 9 * static_cast<double>(options.channels) + 64 * static_cast<double>(options.classes);
}

double linear_parameters(const ModelOptions& options) {
  return static_cast<double>(options.channels * options.height * options.width) * static_cast<double>(options.classes);
}

/// Its file says how wide its features are.
double head_parameters(const ModelOptions& options) { return static_cast<double>(options.classes); }

/// A model, or a kind of models that takes an argument after a colon.
struct Entry {
  std::string name;
  std::int64_t smallest_side;  ///< 1: features too
  bool takes_argument;
  std::shared_ptr<ClassifierImpl> (*make)(const ModelOptions&);
  double (*least_parameters)(const ModelOptions&) = convolution_parameters;
};

const std::vector<Entry>& entries() {
  // Three resolutions of at least 2 pixels.
  constexpr std::int64_t cifar = 8, torchvision = 16;
  static const std::vector<Entry> table = {{"conv3", cifar, false, detail::make_conv3},
                                           {"resnet20", cifar, false, detail::make_cifar_resnet},
                                           {"resnet32", cifar, false, detail::make_cifar_resnet},
                                           {"resnet44", cifar, false, detail::make_cifar_resnet},
                                           {"resnet56", cifar, false, detail::make_cifar_resnet},
                                           {"wrn28-10", cifar, false, detail::make_wide_resnet},
                                           {"resnet18", torchvision, false, detail::make_resnet18},
                                           {"resnet50", torchvision, false, detail::make_resnet50},
                                           {"resnext50", torchvision, false, detail::make_resnext50},
                                           {"mlp", 1, true, detail::make_mlp, detail::mlp_parameters},
                                           {"linear", 1, false, detail::make_linear, linear_parameters},
                                           {"torchscript", 1, true, detail::make_torchscript, head_parameters}};
  return table;
}

std::string kind_of(const std::string& name) { return name.substr(0, name.find(':')); }

const Entry* find_entry(const std::string& name) {
  const auto found = std::ranges::find(entries(), kind_of(name), &Entry::name);
  return found == entries().end() ? nullptr : &*found;
}

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

/// The entry of a model. Throws Error{usage} for another name, or an argument that it does not take.
const Entry& known_entry(const std::string& name) {
  const Entry* entry = find_entry(name);
  if (!entry) {
    std::vector<std::string> names = model_names();
    names.push_back("torchscript:FILE");
    refuse(fmt::format("unknown model '{}'; {}", printable(name), suggest(name, names)));
  }
  if (name != entry->name && !entry->takes_argument)
    refuse(
        fmt::format("model '{}' came, but {} takes nothing after a colon; leave it out", printable(name), entry->name));
  return *entry;
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

std::string detail::argument_of(const std::string& name) {
  const std::size_t colon = name.find(':');
  return colon == std::string::npos ? "" : name.substr(colon + 1);
}

const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> of_table;
    for (const Entry& entry : entries())
      if (entry.name != "torchscript") of_table.push_back(entry.name);
    return of_table;
  }();
  return names;
}

std::string default_model(std::int64_t channels, std::int64_t height, std::int64_t width) {
  if (height == 1 && width == 1) return "mlp";
  return channels == 1 && height <= 28 && width <= 28 ? "conv3" : "resnet32";
}

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

void check_sizes(const ModelOptions& options) {
  std::int64_t left = k_most_values;
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"channels", options.channels}, {"rows of pixels", options.height}, {"columns of pixels", options.width}};
  for (const auto& [what, size] : sizes) {
    if (size < 1) refuse(fmt::format("a model of samples with {} {} came, expected at least 1", size, what));
    left /= size;
  }
  if (left == 0)
    refuse(
        fmt::format("samples of {}x{}x{} values (channels x height x width) came, a model takes at most {} values; "
                    "make them smaller with --image-size",
                    options.channels, options.height, options.width, k_most_values));
  if (options.classes < 1) refuse(fmt::format("a model of {} classes came, expected at least 1", options.classes));
}

double least_parameters(const ModelOptions& options) {
  check_sizes(options);
  return known_entry(options.name).least_parameters(options);
}

Classifier make_model(const ModelOptions& options) {
  const Entry* entry = &known_entry(options.name);
  check_sizes(options);
  const std::int64_t side = std::min(options.height, options.width), needed = entry->smallest_side;
  if (side < needed && options.height * options.width == 1)
    refuse(fmt::format("the data are vectors of {} features, but model '{}' takes images; choose mlp or linear",
                       options.channels, options.name));
  if (side < needed)
    refuse(fmt::format("the images are {}x{}, model '{}' needs at least {}x{}; enlarge them with --image-size 32",
                       options.height, options.width, options.name, needed, needed));
  return Classifier(entry->make(options));
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
