#include "train/weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "train/backbone_file.hpp"
#include "train/checkpoint.hpp"
#include "train/weight_average.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

/// Reads the keys `mean` and `stddev` of a weights file, each a JSON array with one number per channel. Nothing if it
/// has neither.
std::optional<Normalisation> stored_normalisation(const std::map<std::string, std::string>& metadata,
                                                  const std::filesystem::path& path) {
  if (!metadata.contains("mean") && !metadata.contains("stddev")) return std::nullopt;
  Normalisation normalisation;
  const std::pair<const char*, std::vector<float>*> keys[] = {{"mean", &normalisation.mean},
                                                              {"stddev", &normalisation.stddev}};
  for (const auto& [key, values] : keys) {
    const auto text = metadata.find(key);
    Json json;
    try {
      if (text != metadata.end()) json = parse_json(text->second);
    } catch (const Json::exception&) {
      // Refused below, as any other value.
    }
    const bool positive = std::string_view(key) == "stddev";
    const bool fits =
        json.is_array() && !json.empty() && json.size() <= 4096 && std::ranges::all_of(json, [&](const Json& value) {
          return value.is_number() && std::isfinite(value.get<double>()) && (!positive || value.get<double>() > 0);
        });
    if (!fits)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' of the weights '{}' is '{}', expected a JSON array with a {} for each channel", key,
                              path.string(), text == metadata.end() ? "" : printable(text->second),
                              positive ? "number above 0" : "number"));
    *values = json.get<std::vector<float>>();
  }
  if (normalisation.mean.size() != normalisation.stddev.size())
    throw Error(ErrorKind::data,
                fmt::format("the weights '{}' have {} means and {} deviations; expected one of each for "
                            "each channel",
                            path.string(), normalisation.mean.size(), normalisation.stddev.size()));
  return normalisation;
}

}  // namespace

std::filesystem::path weights_folder() {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  if (const auto cache = variable("ULMUS_CACHE"); !cache.empty()) return cache;
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "ulmus";
  return variable("HOME") / ".cache" / "ulmus";
}

std::optional<std::filesystem::path> stored_weights(const std::string& model) {
  std::error_code ignored;
  const std::filesystem::path path = weights_folder() / (model + ".safetensors");
  return std::filesystem::is_regular_file(path, ignored) ? std::optional(path) : std::nullopt;
}

std::string weights_fact(const std::filesystem::path& path, const std::string& key) {
  const SafetensorsFile file(path);
  const auto found = file.header().metadata.find(key);
  return found == file.header().metadata.end() ? "" : printable(found->second);
}

PretrainedWeights::PretrainedWeights(std::filesystem::path path) : path_(std::move(path)) {
  const SafetensorsFile stored(path_);
  file_ = read_whole_model(stored);
  if (is_checkpoint(stored)) {
    normalisation_ = read_checkpoint_info(stored).normalisation;
    if (normalisation_->mean.empty()) normalisation_.reset();  // of a table
    std::erase_if(file_.tensors, [](const auto& item) { return is_training_state(item.first); });
  } else {
    normalisation_ = stored_normalisation(file_.metadata, path_);
    if (const auto stated = file_.metadata.find("model"); stated != file_.metadata.end()) model_ = stated->second;
  }
}

std::optional<Normalisation> PretrainedWeights::load_into(Classifier& model, const ModelOptions& options) const {
  const torch::NoGradGuard no_gradient;
  if (model_ && *model_ != options.name)
    throw Error(ErrorKind::data, fmt::format("the weights '{}' are of model '{}', not of '{}'; choose that model",
                                             path_.string(), printable(*model_), options.name));
  if (normalisation_ && std::ssize(normalisation_->mean) != options.channels)
    throw Error(
        ErrorKind::data,
        fmt::format("the weights '{}' are for {} channels, the data have {}; convert the images "
                    "(grey ones to RGB), or train from nothing with {}",
                    path_.string(), normalisation_->mean.size(), options.channels, option_name("weights", "none")));
  std::int64_t mismatches = 0;
  std::string first;
  const auto add_mismatch = [&](const std::string& text) {
    if (mismatches++ == 0) first = text;
  };
  std::set<std::string> known;
  visit_tensors(*model, [&](const std::string& name, torch::Tensor tensor) {
    known.insert(name);
    const bool in_head = !is_backbone_tensor(name);
    const auto found = file_.tensors.find(name);
    if (found == file_.tensors.end()) {
      if (!in_head && !name.ends_with(".num_batches_tracked")) add_mismatch(fmt::format("'{}' is missing", name));
    } else if (found->second.sizes() == tensor.sizes()) {
      if (!torch::isfinite(found->second).all().item<bool>())
        add_mismatch(fmt::format("'{}' has values that are infinite or not a number", name));
      if (!in_head || options.head == Head::linear) tensor.copy_(found->second);
    } else if (!in_head) {
      add_mismatch(fmt::format("'{}' is [{}], expected [{}]", name, fmt::join(found->second.sizes(), ", "),
                               fmt::join(tensor.sizes(), ", ")));
    }
  });
  for (const auto& [name, tensor] : file_.tensors)
    if (!known.contains(name) && is_backbone_tensor(name)) add_mismatch(fmt::format("'{}' is not in the model", name));
  if (mismatches > 0)
    throw Error(
        ErrorKind::data,
        fmt::format("the weights '{}' do not fit model '{}': {} {}, the first: {}; choose the model they are of",
                    path_.string(), options.name, mismatches, mismatches == 1 ? "tensor differs" : "tensors differ",
                    first));
  static const std::set<std::string> torchvision = {"resnet18", "resnet50", "resnext50"};
  if (!normalisation_ && options.channels == 3 && torchvision.contains(options.name))
    return Normalisation{.mean = {0.485f, 0.456f, 0.406f}, .stddev = {0.229f, 0.224f, 0.225f}};
  return normalisation_;
}

}  // namespace ulmus::detail
