#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nn/model_kinds.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using detail::ModelKind;

/// A first convolution with 16 filters of 3x3 and a head on 64 features, the smallest in the table.
double convolution_parameters(const ModelOptions& options) {
  return 16 * 9 * static_cast<double>(options.channels) + 64 * static_cast<double>(options.classes);
}

/// The first convolution, 32 filters of 3x3, and a head on 1280 features.
double efficientnet_parameters(const ModelOptions& options) {
  return 32 * 9 * static_cast<double>(options.channels) + 1280 * static_cast<double>(options.classes);
}

/// Weights of the linear layers and the head.
double mlp_parameters(const ModelOptions& options) {
  const detail::MlpShape shape = detail::mlp_shape(options.name);
  const auto width = static_cast<double>(shape.width), layers = static_cast<double>(shape.layers),
             inputs = static_cast<double>(options.channels * options.height * options.width);
  return width * (inputs + (layers - 1) * width + static_cast<double>(options.classes));
}

double linear_parameters(const ModelOptions& options) {
  return static_cast<double>(options.channels * options.height * options.width) * static_cast<double>(options.classes);
}

/// Trees have no weights.
double no_parameters(const ModelOptions&) { return 0; }

/// The file determines the number of features.
double head_parameters(const ModelOptions& options) { return static_cast<double>(options.classes); }

const std::vector<ModelKind>& kinds() {
  // Allows three resolutions of at least 2 pixels.
  constexpr std::int64_t cifar = 8, torchvision = 16, efficientnet = 16;
  static const std::vector<ModelKind> table = {{"conv3", cifar, false, convolution_parameters},
                                               {"resnet20", cifar, false, convolution_parameters},
                                               {"resnet32", cifar, false, convolution_parameters},
                                               {"resnet44", cifar, false, convolution_parameters},
                                               {"resnet56", cifar, false, convolution_parameters},
                                               {"wrn28-10", cifar, false, convolution_parameters},
                                               {"resnet18", torchvision, false, convolution_parameters},
                                               {"resnet50", torchvision, false, convolution_parameters},
                                               {"resnext50", torchvision, false, convolution_parameters},
                                               {"efficientnet-lite0", efficientnet, false, efficientnet_parameters},
                                               {"efficientnet-lite1", efficientnet, false, efficientnet_parameters},
                                               {"efficientnet-lite2", efficientnet, false, efficientnet_parameters},
                                               {"mlp", 1, true, mlp_parameters},
                                               {"linear", 1, false, linear_parameters},
                                               {"trees", 1, true, no_parameters},
                                               {"torchscript", 1, true, head_parameters}};
  return table;
}

}  // namespace

const ModelKind& detail::model_kind(const std::string& name) {
  const auto found = std::ranges::find(kinds(), name.substr(0, name.find(':')), &ModelKind::name);
  if (found == kinds().end()) {
    std::vector<std::string> names = model_names();
    names.insert(names.end(), {"trees", "torchscript:FILE"});
    throw_usage(fmt::format("unknown model '{}'; {}", printable(name), suggest(name, names)));
  }
  if (name != found->name && !found->takes_argument)
    throw_usage(
        fmt::format("model '{}' came, but {} takes nothing after a colon; leave it out", printable(name), found->name));
  return *found;
}

std::string detail::argument_of(const std::string& name) {
  const std::size_t colon = name.find(':');
  return colon == std::string::npos ? "" : name.substr(colon + 1);
}

detail::MlpShape detail::mlp_shape(const std::string& name) {
  static const std::vector<std::string> keys = {"layers", "width", "dropout"};
  MlpShape shape;
  const std::string argument = argument_of(name);
  if (argument.empty()) return shape;
  for (const std::string& setting : split(argument, ',')) {
    const std::string key = setting.substr(0, setting.find('='));
    if (std::ranges::find(keys, key) == keys.end())
      throw_usage(
          fmt::format("unknown key '{}' in model '{}'; {}", printable(key), printable(name), suggest(key, keys)));
    const std::string value = key == setting ? "" : setting.substr(key.size() + 1), what = "mlp:" + key;
    if (key == "layers") shape.layers = parse_integer(value, what);
    if (key == "width") shape.width = parse_integer(value, what);
    if (key == "dropout") shape.dropout = parse_number(value, what);
  }
  const auto need = [&](bool holds, const char* expected) {
    if (!holds) throw_usage(fmt::format("model '{}' needs {}", printable(name), expected));
  };
  need(shape.layers >= 1 && shape.layers <= 64, "layers from 1 to 64");
  need(shape.width >= 1 && shape.width <= 65536, "a width from 1 to 65536");
  need(shape.dropout >= 0 && shape.dropout < 1, "dropout in [0, 1)");
  return shape;
}

const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> of_table;
    for (const ModelKind& kind : kinds())
      if (kind.name != "torchscript" && kind.name != "trees") of_table.push_back(kind.name);
    return of_table;
  }();
  return names;
}

std::string default_model(std::int64_t channels, std::int64_t height, std::int64_t width) {
  if (height == 1 && width == 1) return "mlp";
  return channels == 1 && height <= 28 && width <= 28 ? "conv3" : "resnet32";
}

void check_sizes(const ModelOptions& options) {
  std::int64_t left = k_most_values;
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"channels", options.channels}, {"rows of pixels", options.height}, {"columns of pixels", options.width}};
  for (const auto& [what, size] : sizes) {
    if (size < 1) throw_usage(fmt::format("a model of samples with {} {} came, expected at least 1", size, what));
    left /= size;
  }
  if (left == 0)
    throw_usage(
        fmt::format("samples of {}x{}x{} values (channels x height x width) came, a model takes at most {} values; "
                    "make them smaller with {}",
                    options.channels, options.height, options.width, k_most_values, option_name("image_size")));
  if (options.classes < 1) throw_usage(fmt::format("a model of {} classes came, expected at least 1", options.classes));
}

double least_parameters(const ModelOptions& options) {
  check_sizes(options);
  return detail::model_kind(options.name).least_parameters(options);
}

}  // namespace ulmus
