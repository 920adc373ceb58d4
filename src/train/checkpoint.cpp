#include "train/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>

#include "train/backbone_file.hpp"
#include "train/optimizer.hpp"
#include "train/safetensors.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/safetensors.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

const std::string k_optimizer = "optimizer.";
const std::string k_weights = "optimizer.weights.";  // in addition to their average

/// The stored form: on the CPU, row-major.
torch::Tensor to_stored(const torch::Tensor& tensor) { return tensor.detach().cpu().contiguous(); }

void require_like(const std::filesystem::path& path, const std::string& name, const torch::Tensor& actual,
                  const torch::Tensor& expected) {
  if (actual.sizes() != expected.sizes() || actual.scalar_type() != expected.scalar_type())
    throw_bad_checkpoint(path, fmt::format("tensor '{}' is {} [{}], expected {} [{}]", name,
                                           c10::toString(actual.scalar_type()), fmt::join(actual.sizes(), ", "),
                                           c10::toString(expected.scalar_type()), fmt::join(expected.sizes(), ", ")));
}

}  // namespace

bool is_training_state(const std::string& name) { return name.starts_with(k_optimizer) || name == k_loss_state; }

void save_checkpoint(const std::filesystem::path& path, const CheckpointInfo& info, const Classifier& model,
                     torch::optim::Optimizer* optimizer, const WeightAverage* average) {
  const torch::NoGradGuard no_gradient;
  TensorFile file;
  visit_tensors(*model, [&](const std::string& name, const torch::Tensor& tensor) {
    if (info.backbone_sha256 && is_backbone_tensor(name)) return;
    file.tensors[name] = to_stored(average ? average->tensors().at(name) : tensor);
    if (average && optimizer) file.tensors[k_weights + name] = to_stored(tensor);
  });
  if (optimizer) {
    const auto& states = optimizer->state();
    for (const auto& item : model->named_parameters()) {
      const auto found = states.find(state_key(states, item.value()));
      if (found == states.end()) continue;
      const auto put = [&](const char* part, const torch::Tensor& tensor) {
        file.tensors[fmt::format("{}{}.{}", k_optimizer, part, item.key())] = to_stored(tensor);
      };
      if (const auto* sgd = dynamic_cast<const torch::optim::SGDParamState*>(found->second.get())) {
        if (sgd->momentum_buffer().defined()) put("momentum", sgd->momentum_buffer());
      } else if (const auto* adamw = dynamic_cast<const torch::optim::AdamWParamState*>(found->second.get())) {
        put("exp_avg", adamw->exp_avg());
        put("exp_avg_sq", adamw->exp_avg_sq());
        put("step", torch::tensor(adamw->step()));
      }
    }
  }
  if (!info.loss_state.empty()) file.tensors[k_loss_state] = torch::tensor(info.loss_state, torch::kDouble);
  file.metadata[k_checkpoint_key] = to_json(info, model->script_sha256()).dump();
  write_file(path, encode_safetensors(file));
}

void load_checkpoint(const SafetensorsFile& stored, Classifier& model, torch::optim::Optimizer* optimizer,
                     WeightAverage* average) {
  const torch::NoGradGuard no_gradient;
  const std::filesystem::path& path = stored.path();
  const TensorFile file = read_whole_model(stored);
  const auto fill = [&](const std::string& name, torch::Tensor tensor) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) throw_bad_checkpoint(path, fmt::format("tensor '{}' is missing", name));
    require_like(path, name, found->second, tensor);
    tensor.copy_(found->second);
  };
  if (average)
    for (const auto& [name, tensor] : average->tensors()) fill(name, tensor);
  visit_tensors(*model, [&](const std::string& name, const torch::Tensor& tensor) {
    fill(average && file.tensors.contains(k_weights + name) ? k_weights + name : name, tensor);
  });
  if (!optimizer) return;
  auto& states = optimizer->state();
  for (const auto& item : model->named_parameters()) {
    const torch::Tensor& parameter = item.value();
    const auto find = [&](const char* part) -> torch::Tensor {
      const auto found = file.tensors.find(fmt::format("{}{}.{}", k_optimizer, part, item.key()));
      return found == file.tensors.end() ? torch::Tensor() : found->second;
    };
    const auto like_parameter = [&](const char* part) {
      const torch::Tensor tensor = find(part);
      if (!tensor.defined())
        throw_bad_checkpoint(path, fmt::format("tensor '{}{}.{}' is missing", k_optimizer, part, item.key()));
      require_like(path, fmt::format("{}{}.{}", k_optimizer, part, item.key()), tensor, parameter);
      return tensor.to(parameter.device());
    };
    if (find("momentum").defined()) {
      auto state = std::make_unique<torch::optim::SGDParamState>();
      state->momentum_buffer(like_parameter("momentum"));
      states[state_key(states, parameter)] = std::move(state);
    } else if (const torch::Tensor step = find("step"); step.defined()) {
      require_like(path, fmt::format("{}step.{}", k_optimizer, item.key()), step, torch::tensor(std::int64_t{0}));
      auto state = std::make_unique<torch::optim::AdamWParamState>();
      state->step(step.item<std::int64_t>());
      state->exp_avg(like_parameter("exp_avg"));
      state->exp_avg_sq(like_parameter("exp_avg_sq"));
      states[state_key(states, parameter)] = std::move(state);
    }
  }
}

void require_finite(const std::filesystem::path& path, const Classifier& model) {
  const torch::NoGradGuard no_gradient;
  std::int64_t bad = 0;
  std::string first;
  visit_tensors(*model, [&](const std::string& name, const torch::Tensor& tensor) {
    if (!tensor.is_floating_point() || torch::isfinite(tensor).all().item<bool>()) return;
    if (bad++ == 0) first = name;
  });
  if (bad > 0)
    throw Error(
        ErrorKind::numerical,
        fmt::format("checkpoint '{}' holds weights that are infinite or not a number, in {} {}, the first '{}'; "
                    "train again with a lower {}",
                    path.string(), bad, bad == 1 ? "tensor" : "tensors", first, option_name("lr")));
}

}  // namespace ulmus::detail
