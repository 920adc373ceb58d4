#include "train/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>

#include "train/optimizer.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/safetensors_header.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

const std::string k_optimizer = "optimizer.";
const std::string k_weights = "optimizer.weights.";  // beside their average
const std::string k_info = "ulmus";
const std::string k_loss_state = "loss.state";

/// As it is written: on the CPU, rows first.
torch::Tensor portable(const torch::Tensor& tensor) { return tensor.detach().cpu().contiguous(); }

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::data,
              fmt::format("checkpoint '{}' does not fit: {}; train again", path.string(), printable(why, k_long_text)));
}

void require_like(const std::filesystem::path& path, const std::string& name, const torch::Tensor& came,
                  const torch::Tensor& expected) {
  if (came.sizes() != expected.sizes() || came.scalar_type() != expected.scalar_type())
    refuse(path, fmt::format("tensor '{}' is {} [{}], expected {} [{}]", name, c10::toString(came.scalar_type()),
                             fmt::join(came.sizes(), ", "), c10::toString(expected.scalar_type()),
                             fmt::join(expected.sizes(), ", ")));
}

Head parse_head(const std::string& name, const std::filesystem::path& path) {
  for (const Head head : {Head::linear, Head::cosine})
    if (name == name_of(head)) return head;
  refuse(path, fmt::format("it has the unknown head '{}'", printable(name)));
}

void read_loss_state(const SafetensorsHeader& header, const std::filesystem::path& path, CheckpointInfo& info) {
  const auto stored = std::ranges::find(header.tensors, k_loss_state, &StoredTensor::name);
  if (stored == header.tensors.end()) return;
  if (stored->type.id != StoredType::Id::f64 || stored->shape.size() != 1)
    refuse(path, fmt::format("tensor '{}' is no list of F64", k_loss_state));
  const std::string bytes = read_stored_bytes(path, *stored);
  info.loss_state.resize(bytes.size() / sizeof(double));
  std::memcpy(info.loss_state.data(), bytes.data(), bytes.size());
}

/// What save_checkpoint writes holds for what is read, so that no number of a damaged file is taken for a size.
void check_info(const CheckpointInfo& info, const SafetensorsHeader& header, const std::filesystem::path& path) {
  double elements = 0;
  for (const StoredTensor& tensor : header.tensors)
    elements += static_cast<double>(tensor.size) / static_cast<double>(tensor.type.bytes);
  try {
    if (const double least = least_parameters(info.model); least > elements)
      refuse(path, fmt::format("model '{}' of its sizes has at least {:.0f} weights, the file has {:.0f} numbers",
                               printable(info.model.name), least, elements));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    refuse(path, error.what());
  }
  const auto channels = static_cast<std::size_t>(info.model.channels);
  const auto& [mean, stddev] = info.normalisation;
  const bool normalises = !mean.empty() || !stddev.empty();
  if ((normalises && (mean.size() != channels || stddev.size() != channels)) ||
      info.class_names.size() != static_cast<std::size_t>(info.model.classes))
    refuse(path, "its lists do not have the lengths of its channels and classes");
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(mean, finite) || !std::ranges::all_of(stddev, finite) ||
      !std::ranges::all_of(stddev, [](float value) { return value > 0; }))
    refuse(path, "its normalisation is not of finite means and deviations above 0");
  if (info.epochs_done < 1 || info.epochs_done > info.epochs)
    refuse(path, fmt::format("{} of its {} epochs are done", info.epochs_done, info.epochs));
  if (!std::isfinite(info.seconds) || info.seconds < 0) refuse(path, "its seconds are no time");
  std::set<std::string_view> names;
  for (const std::string& name : info.class_names)
    if (!names.insert(name).second) refuse(path, fmt::format("it has two classes '{}'", printable(name)));
  const LossSpec loss = loss_of(info, path);
  if (info.chosen.empty()) return;
  const Key* key = loss.automatic();
  if (!key) refuse(path, fmt::format("loss '{}' has no key that is chosen", printable(info.loss)));
  try {
    loss.with(key->name, info.chosen);
  } catch (const Error& error) {
    refuse(path, error.what());
  }
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
                     {"model_sha256", model->script_sha256()},
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
  const SafetensorsHeader header = read_safetensors_header(path);
  const auto text = header.metadata.find(k_info);
  if (text == header.metadata.end()) refuse(path, "it was not written by ulmus");
  try {
    const Json info = parse_json(text->second);
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
                                  .head = parse_head(info.at("head").get<std::string>(), path),
                                  .script_sha256 = info.value("model_sha256", "")},
                        .normalisation = {.mean = info.at("mean"), .stddev = info.at("stddev")},
                        .class_names = info.at("class_names"),
                        .encoding = info.value("encoding", ""),
                        .tuned = info.value("tuned", ""),
                        .chosen = info.value("chosen", "")};
    read_loss_state(header, path, read);
    check_info(read, header, path);
    return read;
  } catch (const Json::exception& error) {
    refuse(path, printable(error.what(), k_long_text));
  }
}

std::string member_name(const CheckpointInfo& info, const LossSpec& loss) {
  return info.tuned.empty() ? loss.text() : info.tuned;
}

LossSpec loss_of(const CheckpointInfo& info, const std::filesystem::path& path) {
  try {
    return LossSpec::parse(info.loss);
  } catch (const Error& error) {
    refuse(path, error.what());
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
                    "train again with a lower --lr",
                    path.string(), bad, bad == 1 ? "tensor" : "tensors", first));
}

}  // namespace ulmus::detail
