#include "train/checkpoint_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

Head parse_head(const std::string& name, const std::filesystem::path& path) {
  for (const Head head : {Head::linear, Head::cosine})
    if (name == name_of(head)) return head;
  throw_bad_checkpoint(path, fmt::format("it has the unknown head '{}'", printable(name)));
}

/// A text; "" means absent.
std::optional<std::string> optional_text(const Json& info, const char* key) {
  const std::string text = info.value(key, "");
  return text.empty() ? std::nullopt : std::optional(text);
}

std::vector<double> read_loss_state(const SafetensorsFile& file) {
  const StoredTensor* stored = file.find(k_loss_state);
  if (!stored) return {};
  if (stored->type.id != StoredType::Id::f64 || stored->shape.size() != 1)
    throw_bad_checkpoint(file.path(), fmt::format("tensor '{}' is no list of F64", k_loss_state));
  std::vector<double> values(stored->size / sizeof(double));
  file.read(*stored, values.data());
  return values;
}

double count_elements(const SafetensorsHeader& header) {
  double elements = 0;
  for (const StoredTensor& tensor : header.tensors)
    elements += static_cast<double>(tensor.size) / static_cast<double>(tensor.type.bytes);
  return elements;
}

/// Checks the invariants of save_checkpoint, so that no number from a damaged file is used as a size.
void check_info(const CheckpointInfo& info, const SafetensorsHeader& header, const std::filesystem::path& path) {
  double elements = count_elements(header);
  if (info.backbone_sha256) elements += count_elements(open_backbone(path).header());
  try {
    if (const double least = least_parameters(info.model); least > elements)
      throw_bad_checkpoint(
          path, fmt::format("model '{}' of its sizes has at least {:.0f} weights, the file has {:.0f} numbers",
                            printable(info.model.name), least, elements));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    throw_bad_checkpoint(path, error.what());
  }
  const auto channels = static_cast<std::size_t>(info.model.channels);
  const auto& [mean, stddev] = info.normalisation;
  const bool normalises = !mean.empty() || !stddev.empty();
  if ((normalises && (mean.size() != channels || stddev.size() != channels)) ||
      info.class_names.size() != static_cast<std::size_t>(info.model.classes))
    throw_bad_checkpoint(path, "its lists do not have the lengths of its channels and classes");
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(mean, finite) || !std::ranges::all_of(stddev, finite) ||
      !std::ranges::all_of(stddev, [](float value) { return value > 0; }))
    throw_bad_checkpoint(path, "its normalisation is not of finite means and deviations above 0");
  if (info.epochs_done < 1 || info.epochs_done > info.epochs)
    throw_bad_checkpoint(path, fmt::format("{} of its {} epochs are done", info.epochs_done, info.epochs));
  if (!std::isfinite(info.seconds) || info.seconds < 0) throw_bad_checkpoint(path, "its seconds are no time");
  std::set<std::string_view> names;
  for (const std::string& name : info.class_names)
    if (!names.insert(name).second) throw_bad_checkpoint(path, fmt::format("it has two classes '{}'", printable(name)));
  const LossSpec loss = loss_of(info, path);
  if (!info.chosen) return;
  const Key* key = loss.automatic();
  if (!key) throw_bad_checkpoint(path, fmt::format("loss '{}' has no key that is chosen", printable(info.loss)));
  try {
    loss.with(key->name, *info.chosen);
  } catch (const Error& error) {
    throw_bad_checkpoint(path, error.what());
  }
}

}  // namespace

[[noreturn]] void throw_bad_checkpoint(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::data,
              fmt::format("checkpoint '{}' does not fit: {}; train again", path.string(), printable(why, k_long_text)));
}

Json to_json(const CheckpointInfo& info, const std::string& script_sha256) {
  return {{"loss", info.loss},
          {"seed", info.seed},
          {"epochs_done", info.epochs_done},
          {"epochs", info.epochs},
          {"seconds", info.seconds},
          {"model", info.model.name},
          {"model_sha256", script_sha256},
          {"head", std::string(name_of(info.model.head))},
          {"channels", info.model.channels},
          {"height", info.model.height},
          {"width", info.model.width},
          {"classes", info.model.classes},
          {"mean", info.normalisation.mean},
          {"stddev", info.normalisation.stddev},
          {"class_names", info.class_names},
          {"encoding", info.encoding.value_or("")},
          {"tuned", info.tuned.value_or("")},
          {"chosen", info.chosen.value_or("")},
          {"backbone_sha256", info.backbone_sha256.value_or("")}};
}

SafetensorsFile open_backbone(const std::filesystem::path& checkpoint) {
  const std::filesystem::path path =
      std::filesystem::absolute(checkpoint).parent_path().parent_path() / k_backbone_file;
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown))
    throw Error(ErrorKind::data, fmt::format("checkpoint '{}' holds only a head, and the backbone is not in '{}'; copy "
                                             "that file from the run folder too",
                                             checkpoint.string(), path.string()));
  return SafetensorsFile(path);
}

bool is_checkpoint(const SafetensorsFile& file) { return file.header().metadata.contains(k_checkpoint_key); }

CheckpointInfo read_checkpoint_info(const SafetensorsFile& file) {
  const std::filesystem::path& path = file.path();
  const SafetensorsHeader& header = file.header();
  const auto text = header.metadata.find(k_checkpoint_key);
  if (text == header.metadata.end()) throw_bad_checkpoint(path, "it was not written by ulmus");
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
                        .loss_state = read_loss_state(file),
                        .encoding = optional_text(info, "encoding"),
                        .tuned = optional_text(info, "tuned"),
                        .chosen = optional_text(info, "chosen"),
                        .backbone_sha256 = optional_text(info, "backbone_sha256")};
    check_info(read, header, path);
    return read;
  } catch (const Json::exception& error) {
    throw_bad_checkpoint(path, printable(error.what(), k_long_text));
  }
}

std::string model_name(const CheckpointInfo& info, const LossSpec& loss) { return info.tuned.value_or(loss.text()); }

LossSpec loss_of(const CheckpointInfo& info, const std::filesystem::path& path) {
  try {
    return LossSpec::parse(info.loss);
  } catch (const Error& error) {
    throw_bad_checkpoint(path, error.what());
  }
}

}  // namespace ulmus::detail
