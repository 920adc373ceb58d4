#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <filesystem>
#include <set>
#include <span>
#include <sstream>

#include "nn/backbones.hpp"
#include "nn/model_kinds.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

/// LibTorch's message has pages of context; its first line states the error.
std::string first_line(const std::exception& error) {
  std::string text = error.what();
  if (const auto* torch_error = dynamic_cast<const c10::Error*>(&error)) text = torch_error->what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

struct Script {
  torch::jit::Module module;
  std::string sha256;
};

Script load_script(const ModelOptions& options) {
  if (argument_of(options.name).empty())
    throw Error(ErrorKind::usage, "model 'torchscript' needs a file, for example torchscript:backbone.pt");
  if (options.script.empty())
    throw Error(ErrorKind::usage,
                fmt::format("model '{}' is a TorchScript file, which is code and can do whatever you can do; if you "
                            "trust it, name the file by {}{}",
                            printable(options.name), option_name("script", "FILE"),
                            options.script_sha256.empty() ? ""
                                                          : fmt::format(" (SHA-256 when it was trained: {})",
                                                                        printable(options.script_sha256, 64))));
  const std::string path = options.script.string();
  if (!std::filesystem::is_regular_file(path))
    throw Error(ErrorKind::data, fmt::format("cannot read the model '{}': no such file", path));
  // Read once, so that the bytes that were verified are those that run.
  std::string bytes = read_file(path);
  Script script{.module = {}, .sha256 = sha256(bytes)};
  if (!options.script_sha256.empty() && script.sha256 != options.script_sha256)
    throw Error(ErrorKind::data,
                fmt::format("'{}' has SHA-256 {}, but the model was trained with a file of {}; name that one", path,
                            script.sha256, printable(options.script_sha256, 64)));
  try {
    std::istringstream stream(std::move(bytes));
    script.module = torch::jit::load(stream, torch::kCPU);
  } catch (const std::exception& error) {
    throw Error(ErrorKind::data, fmt::format("'{}' is not a TorchScript module ({}); save one with "
                                             "torch.jit.script(backbone).save(FILE)",
                                             path, printable(first_line(error))));
  }
  return script;
}

torch::nn::Module& child(torch::nn::Module& parent, const std::string& name) {
  const auto children = parent.named_children();
  if (const auto* found = children.find(name)) return **found;
  return *parent.register_module(name, std::make_shared<torch::nn::Module>());
}

/// A TorchScript module is not a torch::nn::Module: its tensors are also registered here, so that they are trained,
/// moved and saved like all others.
class TorchScript : public ClassifierImpl {
 public:
  explicit TorchScript(const ModelOptions& options) : path_(options.script.string()) {
    Script script = load_script(options);
    module_ = std::move(script.module);
    sha256_ = std::move(script.sha256);
    std::set<const c10::TensorImpl*> seen;  // a tensor may have several names
    const auto place = [&](const std::string& name) -> torch::nn::Module& {
      torch::nn::Module* module = &child(*this, "backbone");
      for (auto pieces = split(name, '.'); const std::string& piece : std::span(pieces).first(pieces.size() - 1))
        module = &child(*module, piece);
      return *module;
    };
    const auto last = [](const std::string& name) { return name.substr(name.rfind('.') + 1); };
    for (const auto& [name, tensor] : module_.named_parameters())
      if (seen.insert(tensor.unsafeGetTensorImpl()).second)
        place(name).register_parameter(last(name), tensor, tensor.is_floating_point());
    for (const auto& [name, tensor] : module_.named_buffers())
      if (seen.insert(tensor.unsafeGetTensorImpl()).second) place(name).register_buffer(last(name), tensor);
    add_head(feature_width(options), options);
  }

  torch::Tensor features(const torch::Tensor& images) override {
    // With the optimiser, the first calls would run other code than later ones, and a resumed run would differ in its
    // bits.
    const torch::jit::GraphOptimizerEnabledGuard as_written(false);
    const bool vectors = images.dim() == 4 && images.size(2) == 1 && images.size(3) == 1;
    return module_.forward({vectors ? images.flatten(1) : images}).toTensor();
  }

  std::string script_sha256() const override { return sha256_; }

  void train(bool on) override {
    ClassifierImpl::train(on);
    module_.train(on);
  }

 private:
  /// D', determined by a dry run.
  std::int64_t feature_width(const ModelOptions& options) {
    const torch::NoGradGuard no_gradient;
    module_.eval();
    torch::Tensor output;
    try {
      output = features(torch::zeros({2, options.channels, options.height, options.width}));
    } catch (const std::exception& error) {
      throw Error(
          ErrorKind::data,
          fmt::format("the TorchScript module '{}' fails on images of {}x{}x{} (channels x height x width): {}; "
                      "give it images of the kind that it was made for",
                      path_, options.channels, options.height, options.width, printable(first_line(error))));
    }
    if (output.dim() != 2 || output.size(0) != 2 || output.scalar_type() != torch::kFloat)
      throw Error(ErrorKind::data,
                  fmt::format("the TorchScript module '{}' makes {} [{}] of 2 images, expected features, Float [2, D]; "
                              "leave its classifier out and flatten what it gives",
                              path_, c10::toString(output.scalar_type()), fmt::join(output.sizes(), ", ")));
    module_.train(is_training());
    return output.size(1);
  }

  std::string path_, sha256_;
  torch::jit::Module module_;
};

}  // namespace

std::shared_ptr<ClassifierImpl> make_torchscript(const ModelOptions& options) {
  return std::make_shared<TorchScript>(options);
}

}  // namespace ulmus::detail
