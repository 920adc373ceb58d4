#include "train/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "train/optimizer.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"

namespace ulmus::detail {
namespace {

const std::string k_optimizer = "optimizer.";
const std::string k_weights = "optimizer.weights.";  // beside their average
const std::string k_info = "ulmus";
const std::string k_loss_state = "loss.state";

/// As it is written: on the CPU, rows first.
torch::Tensor portable(const torch::Tensor& tensor) { return tensor.detach().cpu().contiguous(); }

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::data, fmt::format("checkpoint '{}' does not fit: {}; train again", path.string(), why));
}

void require_like(const std::filesystem::path& path, const std::string& name, const torch::Tensor& came,
                  const torch::Tensor& expected) {
  if (came.sizes() != expected.sizes() || came.scalar_type() != expected.scalar_type())
    refuse(path, fmt::format("tensor '{}' is {} [{}], expected {} [{}]", name, c10::toString(came.scalar_type()),
                             fmt::join(came.sizes(), ", "), c10::toString(expected.scalar_type()),
                             fmt::join(expected.sizes(), ", ")));
}

}  // namespace

bool is_checkpoint(const TensorFile& file) { return file.metadata.contains(k_info); }

bool is_training_state(const std::string& name) { return name.starts_with(k_optimizer) || name == k_loss_state; }

void save_checkpoint(const std::filesystem::path& path, const CheckpointInfo& info, const Classifier& model,
                     torch::optim::Optimizer* optimizer, const WeightAverage* average) {
  const torch::NoGradGuard no_gradient;
  TensorFile file;
  visit_tensors(*model, [&](const std::string& name, const torch::Tensor& tensor) {
    file.tensors[name] = portable(average ? average->tensors().at(name) : tensor);
    if (average && optimizer) file.tensors[k_weights + name] = portable(tensor);
  });
  if (optimizer) {
    const auto& states = optimizer->state();
    for (const auto& item : model->named_parameters()) {
      const auto found = states.find(state_key(states, item.value()));
      if (found == states.end()) continue;
      const auto put = [&](const char* part, const torch::Tensor& tensor) {
        file.tensors[fmt::format("{}{}.{}", k_optimizer, part, item.key())] = portable(tensor);
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
  const Json text = {{"loss", info.loss},
                     {"seed", info.seed},
                     {"epochs_done", info.epochs_done},
                     {"epochs", info.epochs},
                     {"seconds", info.seconds},
                     {"model", info.model.name},
                     {"head", std::string(name_of(info.model.head))},
                     {"channels", info.model.channels},
                     {"height", info.model.height},
                     {"width", info.model.width},
                     {"classes", info.model.classes},
                     {"mean", info.normalisation.mean},
                     {"stddev", info.normalisation.stddev},
                     {"class_names", info.class_names},
                     {"encoding", info.encoding},
                     {"tuned", info.tuned},
                     {"chosen", info.chosen}};
  file.metadata[k_info] = text.dump();
  write_file(path, encode_safetensors(file));
}

CheckpointInfo read_checkpoint_info(const std::filesystem::path& path) {
  const TensorFile file = read_safetensors(path);
  const auto text = file.metadata.find(k_info);
  if (text == file.metadata.end()) refuse(path, "it was not written by ulmus");
  try {
    const Json info = Json::parse(text->second);
    CheckpointInfo read{.loss = info.at("loss"),
                        .seed = info.at("seed"),
                        .epochs_done = info.at("epochs_done"),
                        .epochs = info.at("epochs"),
                        .seconds = info.at("seconds"),
                        .model = {.name = info.at("model"),
                                  .channels = info.at("channels"),
                                  .height = info.at("height"),
                                  .width = info.at("width"),
                                  .classes = info.at("classes"),
                                  .head = info.at("head") == "cosine" ? Head::cosine : Head::linear},
                        .normalisation = {.mean = info.at("mean"), .stddev = info.at("stddev")},
                        .class_names = info.at("class_names"),
                        .encoding = info.value("encoding", ""),
                        .tuned = info.value("tuned", ""),
                        .chosen = info.value("chosen", "")};
    if (const auto state = file.tensors.find(k_loss_state); state != file.tensors.end()) {
      const torch::Tensor values = state->second.to(torch::kDouble).contiguous();
      read.loss_state.assign(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
    }
    const auto channels = static_cast<std::size_t>(read.model.channels);
    if (!is_model_name(read.model.name)) refuse(path, fmt::format("it has the unknown model '{}'", read.model.name));
    const bool normalises = !read.normalisation.mean.empty() || !read.normalisation.stddev.empty();
    if ((normalises && (read.normalisation.mean.size() != channels || read.normalisation.stddev.size() != channels)) ||
        read.class_names.size() != static_cast<std::size_t>(read.model.classes))
      refuse(path, "its lists do not have the lengths of its channels and classes");
    if (read.epochs_done < 1 || read.epochs_done > read.epochs)
      refuse(path, fmt::format("{} of its {} epochs are done", read.epochs_done, read.epochs));
    return read;
  } catch (const Json::exception& error) {
    refuse(path, error.what());
  }
}

std::string member_name(const CheckpointInfo& info, const LossSpec& loss) {
  return info.tuned.empty() ? loss.text() : info.tuned;
}

LossSpec loss_of(const CheckpointInfo& info, const std::filesystem::path& path) {
  try {
    return LossSpec::parse(info.loss);
  } catch (const Error& error) {
    throw Error(ErrorKind::data, fmt::format("checkpoint '{}' does not fit: {}", path.string(), error.what()));
  }
}

void load_checkpoint(const std::filesystem::path& path, Classifier& model, torch::optim::Optimizer* optimizer,
                     WeightAverage* average) {
  const torch::NoGradGuard no_gradient;
  const TensorFile file = read_safetensors(path);
  const auto fill = [&](const std::string& name, torch::Tensor tensor) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) refuse(path, fmt::format("tensor '{}' is missing", name));
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
      if (!tensor.defined()) refuse(path, fmt::format("tensor '{}{}.{}' is missing", k_optimizer, part, item.key()));
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

}  // namespace ulmus::detail
