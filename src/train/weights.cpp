#include "train/weights.hpp"

#include <fmt/format.h>

#include <set>
#include <string>

#include "train/checkpoint.hpp"
#include "train/safetensors.hpp"
#include "train/weight_average.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus::detail {

std::optional<Normalisation> load_weights(const std::filesystem::path& path, Classifier& model,
                                          const ModelOptions& options) {
  const torch::NoGradGuard no_gradient;
  const SafetensorsFile stored(path);
  const TensorFile file = read_tensors(stored);
  const bool of_a_run = is_checkpoint(stored);
  std::int64_t unfit = 0;
  std::string first;
  const auto complain = [&](const std::string& text) {
    if (unfit++ == 0) first = text;
  };
  std::set<std::string> known;
  visit_tensors(*model, [&](const std::string& name, torch::Tensor tensor) {
    known.insert(name);
    const bool of_head = name.starts_with("fc.");
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) {
      if (!of_head && !name.ends_with(".num_batches_tracked")) complain(fmt::format("'{}' is missing", name));
    } else if (found->second.sizes() == tensor.sizes()) {
      if (!torch::isfinite(found->second).all().item<bool>())
        complain(fmt::format("'{}' has values that are infinite or not a number", name));
      if (!of_head || options.head == Head::linear) tensor.copy_(found->second);
    } else if (!of_head) {
      complain(fmt::format("'{}' is [{}], expected [{}]", name, fmt::join(found->second.sizes(), ", "),
                           fmt::join(tensor.sizes(), ", ")));
    }
  });
  for (const auto& [name, tensor] : file.tensors)
    if (!known.contains(name) && !name.starts_with("fc.") && !(of_a_run && is_training_state(name)))
      complain(fmt::format("'{}' is not in the model", name));
  if (unfit > 0)
    throw Error(
        ErrorKind::data,
        fmt::format("the weights '{}' do not fit model '{}': {} {}, the first: {}; choose the model they are of",
                    path.string(), options.name, unfit, unfit == 1 ? "tensor differs" : "tensors differ", first));
  const auto channels = static_cast<std::size_t>(options.channels);
  if (of_a_run) {
    Normalisation of_run = read_checkpoint_info(stored).normalisation;
    return of_run.mean.size() == channels ? std::optional(std::move(of_run)) : std::nullopt;
  }
  static const std::set<std::string> torchvision = {"resnet18", "resnet50", "resnext50"};
  if (channels == 3 && torchvision.contains(options.name))
    return Normalisation{.mean = {0.485f, 0.456f, 0.406f}, .stddev = {0.229f, 0.224f, 0.225f}};
  return std::nullopt;
}

}  // namespace ulmus::detail
