#include "train/torchscript.hpp"

#include <fmt/format.h>
#include <torch/script.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <sstream>
#include <variant>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

constexpr std::array k_resnets = {"resnet20", "resnet32", "resnet44", "resnet56"};
constexpr std::array k_torchvision = {"resnet18", "resnet50", "resnext50"};

bool is_efficientnet_lite(const ModelOptions& model) { return model.name.starts_with("efficientnet-lite"); }

/// Returns whether the model has only linear layers, on features or on flattened images.
bool takes_vectors(const ModelOptions& model) {
  return model.name == "linear" || model.name == "mlp" || model.name.starts_with("mlp:");
}

/// Makes a module with the tensors and sub-modules of `from`, under the same names.
torch::jit::Module mirror(const torch::nn::Module& from, const std::string& name,
                          const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  torch::jit::Module module(c10::QualifiedName(name), unit, /*shouldMangle=*/true);
  module.register_attribute("training", c10::BoolType::get(), false);  // train() and eval() require it
  for (const auto& item : from.named_parameters(/*recurse=*/false))
    module.register_parameter(item.key(), item.value().detach(), /*is_buffer=*/false);
  for (const auto& item : from.named_buffers(/*recurse=*/false))
    module.register_parameter(item.key(), item.value(), /*is_buffer=*/true);
  for (const auto& item : from.named_children()) {
    // A number, the name of the blocks of a layer, is not allowed as the last part of a type name.
    const std::string last =
        std::isdigit(static_cast<unsigned char>(item.key()[0])) ? "Block" + item.key() : item.key();
    module.register_module(item.key(), mirror(*item.value(), name + "." + last, unit));
  }
  return module;
}

/// Converts "layer1.0.conv1" to an expression: getattr(self.layer1, "0").conv1.
std::string module_at(const std::string& name) {
  std::string expression = "self";
  for (const std::string& piece : split(name, '.')) {
    const bool number = std::isdigit(static_cast<unsigned char>(piece[0])) != 0;
    expression =
        number ? fmt::format("getattr({}, \"{}\")", expression, piece) : fmt::format("{}.{}", expression, piece);
  }
  return expression;
}

/// Writes `forward`, one statement per line.
class Source {
 public:
  explicit Source(const Classifier& model) : modules_(model->named_modules()) {}

  void line(const std::string& statement) { text_ += "    " + statement + "\n"; }

  std::string conv(const std::string& name, const std::string& x) const {
    const auto& options = module<torch::nn::Conv2dImpl>(name).options;
    using std::get;  // LibTorch has its own variant up to 2.0
    const auto& padding = get<torch::ExpandingArray<2>>(options.padding());
    return fmt::format("torch.conv2d({}, {}.weight, None, [{}], [{}], [1, 1], {})", x, module_at(name),
                       fmt::join(*options.stride(), ", "), fmt::join(*padding, ", "), options.groups());
  }
  std::string norm(const std::string& name, const std::string& x) const {
    const std::string at = module_at(name);
    return fmt::format(
        "torch.batch_norm({}, {}.weight, {}.bias, {}.running_mean, {}.running_var, False, 0.0, {}, True)", x, at, at,
        at, at, format_number(eps(name)));
  }
  bool has(const std::string& name) const { return modules_.contains(name); }
  template <class Module>
  const Module& module(const std::string& name) const {
    return *modules_[name]->as<Module>();
  }
  const std::string& text() const { return text_; }

 private:
  double eps(const std::string& name) const {
    if (const auto* of_vectors = modules_[name]->as<torch::nn::BatchNorm1dImpl>()) return of_vectors->options.eps();
    return module<torch::nn::BatchNorm2dImpl>(name).options.eps();
  }

  torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>> modules_;
  std::string text_;
};

void add_conv3(Source& source) {
  for (const char* number : {"1", "2"})
    source.line(fmt::format(
        "x = torch.relu({})",
        source.norm(fmt::format("bn{}", number),
                    fmt::format("torch.max_pool2d({}, [2, 2])", source.conv(fmt::format("conv{}", number), "x")))));
  source.line(fmt::format("x = torch.relu({})", source.norm("bn3", source.conv("conv3", "x"))));
}

void add_resnet(Source& source) {
  source.line(fmt::format("x = torch.relu({})", source.norm("bn1", source.conv("conv1", "x"))));
  for (const char* layer : {"layer1", "layer2", "layer3"})
    for (int i = 0; source.has(fmt::format("{}.{}", layer, i)); ++i) {
      const std::string block = fmt::format("{}.{}", layer, i);
      const auto& convolution = source.module<torch::nn::Conv2dImpl>(block + ".conv1");
      const std::int64_t added = convolution.options.out_channels() - convolution.options.in_channels();
      source.line(fmt::format("y = torch.relu({})", source.norm(block + ".bn1", source.conv(block + ".conv1", "x"))));
      source.line(fmt::format("y = {}", source.norm(block + ".bn2", source.conv(block + ".conv2", "y"))));
      if (added > 0)
        source.line(
            fmt::format("x = torch.constant_pad_nd(x[:, :, ::2, ::2], [0, 0, 0, 0, {}, {}])", added / 2, added / 2));
      source.line("x = torch.relu(y + x)");
    }
}

void add_torchvision_resnet(Source& source) {
  source.line(fmt::format("x = torch.relu({})", source.norm("bn1", source.conv("conv1", "x"))));
  source.line("x = torch.max_pool2d(x, [3, 3], [2, 2], [1, 1])");
  for (const char* layer : {"layer1", "layer2", "layer3", "layer4"})
    for (int i = 0; source.has(fmt::format("{}.{}", layer, i)); ++i) {
      const std::string block = fmt::format("{}.{}", layer, i), projection = block + ".downsample";
      source.line("y = x");
      for (int c = 1; source.has(fmt::format("{}.conv{}", block, c)); ++c) {
        const std::string y =
            source.norm(fmt::format("{}.bn{}", block, c), source.conv(fmt::format("{}.conv{}", block, c), "y"));
        const bool last = !source.has(fmt::format("{}.conv{}", block, c + 1));
        source.line("y = " + (last ? y : fmt::format("torch.relu({})", y)));
      }
      if (source.has(projection))
        source.line("x = " + source.norm(projection + ".1", source.conv(projection + ".0", "x")));
      source.line("x = torch.relu(y + x)");
    }
}

/// Pads images like TensorFlow's `SAME`.
constexpr const char* k_same_source = R"(
def same(self, x: Tensor, kernel: int, stride: int) -> Tensor:
    height = max(((x.size(2) + stride - 1) // stride - 1) * stride + kernel - x.size(2), 0)
    width = max(((x.size(3) + stride - 1) // stride - 1) * stride + kernel - x.size(3), 0)
    return torch.constant_pad_nd(x, [width // 2, width - width // 2, height // 2, height - height // 2])
)";

void add_efficientnet_lite(Source& source) {
  const auto layer = [&](const std::string& conv, const std::string& norm, const std::string& x) {
    const auto& options = source.module<torch::nn::Conv2dImpl>(conv).options;
    const std::int64_t kernel = options.kernel_size()->at(0), stride = options.stride()->at(0);
    const bool pads = kernel > 1 || stride > 1;
    return source.norm(norm, source.conv(conv, pads ? fmt::format("self.same({}, {}, {})", x, kernel, stride) : x));
  };
  const auto clipped = [](const std::string& x) { return fmt::format("torch.clamp({}, 0.0, 6.0)", x); };
  source.line("x = " + clipped(layer("conv_stem", "bn1", "x")));
  for (int stage = 0; source.has(fmt::format("blocks.{}", stage)); ++stage)
    for (int i = 0; source.has(fmt::format("blocks.{}.{}", stage, i)); ++i) {
      const std::string block = fmt::format("blocks.{}.{}.", stage, i);
      const bool expands = source.has(block + "conv_pwl");
      source.line("y = " + clipped(layer(block + (expands ? "conv_pw" : "conv_dw"), block + "bn1", "x")));
      if (expands) source.line("y = " + clipped(layer(block + "conv_dw", block + "bn2", "y")));
      const std::string y = layer(block + (expands ? "conv_pwl" : "conv_pw"), block + (expands ? "bn3" : "bn2"), "y");
      source.line(i == 0 ? "x = " + y : fmt::format("x = x + {}", y));
    }
  source.line("x = " + clipped(layer("conv_head", "bn2", "x")));
}

/// Omits dropout, which is only used in training.
void add_mlp(Source& source) {
  for (int i = 1; source.has(fmt::format("fc{}", i)); ++i)
    source.line(fmt::format("x = torch.relu({})",
                            source.norm(fmt::format("bn{}", i), fmt::format("torch.linear(x, self.fc{}.weight)", i))));
}

std::string forward_source(const CheckpointInfo& info, const Classifier& model, double scale) {
  const ModelOptions& options = info.model;
  Source source(model);
  source.line(options.height == 1 && options.width == 1 ? "x = images.flatten(1)" : "x = images");
  if (!info.normalisation.mean.empty()) source.line("x = (x - self.mean) / self.stddev");
  if (takes_vectors(options)) {
    source.line("x = x.flatten(1)");
    add_mlp(source);
  } else {
    if (options.name == "conv3")
      add_conv3(source);
    else if (is_efficientnet_lite(options))
      add_efficientnet_lite(source);
    else if (std::ranges::find(k_torchvision, options.name) != k_torchvision.end())
      add_torchvision_resnet(source);
    else
      add_resnet(source);
    source.line("x = torch.mean(x, [2, 3])");
  }
  if (options.head == Head::cosine) {
    source.line("x = x / torch.clamp_min(torch.norm(x, 2, [1], True), 1e-12)");
    source.line("w = self.fc.weight / torch.clamp_min(torch.norm(self.fc.weight, 2, [1], True), 1e-12)");
    source.line("x = torch.linear(x, w)");
  } else {
    source.line("x = torch.linear(x, self.fc.weight, self.fc.bias)");
  }
  source.line(fmt::format("return torch.softmax(x * {}, 1)",
                          scale == std::floor(scale) ? fmt::format("{:.1f}", scale) : format_number(scale)));
  return (is_efficientnet_lite(options) ? k_same_source : "") +
         ("def forward(self, images: Tensor) -> Tensor:\n" + source.text());
}

/// One value per channel, shaped to broadcast with images [N, C, H, W] or features [N, C].
torch::Tensor by_channel(const std::vector<float>& values, const ModelOptions& model) {
  const torch::Tensor row = torch::tensor(values, torch::kFloat);
  return model.height == 1 && model.width == 1 ? row.reshape({1, -1}) : row.reshape({1, -1, 1, 1});
}

}  // namespace

void require_scriptable(const ModelOptions& model) {
  const auto is_in = [&](const auto& names) { return std::ranges::find(names, model.name) != names.end(); };
  if (model.name == "conv3" || takes_vectors(model) || is_in(k_resnets) || is_in(k_torchvision) ||
      is_efficientnet_lite(model))
    return;
  throw Error(
      ErrorKind::usage,
      fmt::format("no TorchScript can be made of '{}', only of conv3, {}, {}, efficientnet-lite, mlp and linear; "
                  "write {} and load the weights into the model in Python",
                  model.name, fmt::join(k_resnets, ", "), fmt::join(k_torchvision, ", "),
                  option_name("format", "safetensors")));
}

std::string encode_torchscript(const CheckpointedModel& trained, const Classifier& model) {
  require_scriptable(trained.info.model);
  const torch::NoGradGuard no_gradient;
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  torch::jit::Module module = mirror(*model, "__torch__.ulmus.Classifier", unit);
  if (const Normalisation& normalisation = trained.info.normalisation; !normalisation.mean.empty()) {
    module.register_parameter("mean", by_channel(normalisation.mean, trained.info.model), /*is_buffer=*/true);
    module.register_parameter("stddev", by_channel(normalisation.stddev, trained.info.model), /*is_buffer=*/true);
  }
  if (trained.info.encoding) module.register_attribute("encoding", c10::StringType::get(), *trained.info.encoding);
  c10::List<std::string> names;
  for (const std::string& name : trained.info.class_names) names.push_back(name);
  module.register_attribute("class_names", c10::ListType::ofStrings(), names);
  module.define(forward_source(trained.info, model, trained.loss.scale()));
  std::ostringstream bytes;
  module.save(bytes);
  return std::move(bytes).str();
}

torch::Tensor run_torchscript(const std::filesystem::path& path, const torch::Tensor& images) {
  const torch::NoGradGuard no_gradient;
  try {
    torch::jit::Module module = torch::jit::load(path.string());
    return module.forward({images}).toTensor();
  } catch (const c10::Error& error) {
    throw Error(ErrorKind::environment, fmt::format("the TorchScript that was made cannot be run by this LibTorch: {}",
                                                    error.what_without_backtrace()));
  }
}

}  // namespace ulmus::detail
