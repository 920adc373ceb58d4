#include <fmt/format.h>

#include <algorithm>

#include "train/checkpointed_model.hpp"
#include "train/placement.hpp"
#include "train/safetensors.hpp"
#include "train/torchscript.hpp"
#include "train/tree_classifier.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus {
namespace {

constexpr std::int64_t k_checked_images = 4;
constexpr double k_accepted_difference = 1e-5;

/// Images in [0, 1], or features as images of 1x1; always the same.
torch::Tensor random_images(const ModelOptions& model) {
  auto images = torch::empty({k_checked_images, model.channels, model.height, model.width}, torch::kFloat);
  Stream stream(0, "export");
  float* data = images.data_ptr<float>();
  std::generate_n(data, images.numel(), [&] { return static_cast<float>(stream.uniform()); });
  return images;
}

/// The probabilities that the run itself computes for images in [0, 1].
torch::Tensor probabilities_of(const detail::CheckpointedModel& trained, Classifier& model,
                               const torch::Tensor& images) {
  const torch::NoGradGuard no_gradient;
  const Normalisation& normalisation = trained.info.normalisation;
  torch::Tensor input = images;
  if (!normalisation.mean.empty()) {  // the encoding of a table has already standardised it
    const auto by_channel = [](const std::vector<float>& values) {
      return torch::tensor(values, torch::kFloat).reshape({1, -1, 1, 1});
    };
    input = (images - by_channel(normalisation.mean)) / by_channel(normalisation.stddev);
  }
  return torch::softmax(model->forward(input) * trained.loss.scale(), 1);
}

std::string encode_weights(const detail::CheckpointedModel& trained, const Classifier& model) {
  detail::TensorFile file;
  for (const auto& item : model->named_parameters()) file.tensors[item.key()] = item.value().detach().contiguous();
  for (const auto& item : model->named_buffers()) file.tensors[item.key()] = item.value().contiguous();
  const detail::CheckpointInfo& info = trained.info;
  file.metadata = {{"format", "pt"},  // tells loaders which framework's layout the tensors have
                   {"classes", Json(info.class_names).dump()},
                   {"mean", Json(info.normalisation.mean).dump()},
                   {"stddev", Json(info.normalisation.stddev).dump()},
                   {"image_shape", Json({info.model.channels, info.model.height, info.model.width}).dump()},
                   {"loss", trained.loss.full_text()},
                   {"scale", format_number(trained.loss.scale())},
                   {"seed", std::to_string(info.seed)},
                   {"model", info.model.name},
                   {"head", std::string(name_of(info.model.head))}};
  if (info.encoding) file.metadata["encoding"] = *info.encoding;
  return detail::encode_safetensors(file);
}

/// Throws Error{usage} for a format that the model cannot have.
void require_format(const detail::CheckpointedModel& trained, ExportFormat format) {
  const bool trees = is_tree_model(trained.info.model.name);
  if (trees == (format == ExportFormat::xgboost)) return;
  throw Error(
      ErrorKind::usage,
      trees ? fmt::format("{} has trees, which are exported by {}", trained.name(), option_name("format", "xgboost"))
            : fmt::format("{} cannot apply: {} has the model '{}', which is no trees; take safetensors or "
                          "torchscript",
                          option_name("format", "xgboost"), trained.name(), printable(trained.info.model.name)));
}

const Booster& booster_of(const Classifier& model) {
  return std::dynamic_pointer_cast<detail::TreeClassifierImpl>(model.ptr())->booster();
}

/// The trees of a file of XGBoost's JSON.
Classifier read_booster(const std::filesystem::path& path, const detail::CheckpointedModel& trained) {
  const detail::CheckpointInfo& info = trained.info;
  FeatureColumns columns = detail::feature_columns(info.encoding, info.model.channels);
  Booster booster(read_file(path), TreeOptions::parse(info.model.name), info.model.classes, columns, info.seed, 1, {});
  return detail::as_classifier(std::move(booster), std::move(columns), info.model.classes, trained.loss.scale());
}

/// What is needed beside XGBoost's JSON to use it on a table.
Json tree_facts(const std::filesystem::path& folder, const detail::CheckpointedModel& trained) {
  const Split split = read_split(folder / "split.json");
  detail::require_classes(trained, split);
  const ClassCounts counts(split.train_counts, split.class_names);
  const detail::CheckpointInfo& info = trained.info;
  const FeatureColumns columns = detail::feature_columns(info.encoding, info.model.channels);
  return {{"schema_version", 1},
          {"classes", info.class_names},
          {"columns", columns.names},
          {"levels", columns.levels},
          {"encoding", info.encoding ? parse_json(*info.encoding) : Json()},
          {"loss", trained.loss.full_text()},
          {"seed", info.seed},
          {"model", info.model.name},
          {"train_counts", split.train_counts},
          {"assumed_prior", assumed_prior(trained.resolved(), counts)}};
}

/// "model.meta.json" beside "model.json".
std::filesystem::path facts_path(const std::filesystem::path& out) {
  return out.parent_path() / (out.stem().string() + ".meta.json");
}

}  // namespace

ExportFormat parse_export_format(std::string_view name) {
  static const std::vector<std::string> names = {"safetensors", "torchscript", "xgboost"};
  if (name == "onnx")
    throw Error(ErrorKind::usage,
                option_name("format", "onnx") +
                    " cannot be written: LibTorch has no ONNX exporter in C++; export torchscript, and in Python "
                    "call torch.onnx.export on what torch.jit.load makes of it (docs/using.md shows how)");
  const auto found = std::ranges::find(names, name);
  if (found == names.end())
    throw Error(ErrorKind::usage, fmt::format("unknown export format '{}'; {}", printable(name), suggest(name, names)));
  return static_cast<ExportFormat>(found - names.begin());
}

ExportResult export_run(const std::filesystem::path& folder, const RunOptions& run_options,
                        const ExportOptions& options) {
  detail::CheckpointedModel trained = detail::choose_model(folder, options.model);
  const bool script = options.format == ExportFormat::torchscript;
  detail::make_placement(run_options);  // throws for an unavailable device; the file is made on the CPU
  require_format(trained, options.format);
  if (script) detail::require_scriptable(trained.info.model);
  Classifier model = trained.load(run_options.model_file);

  AtomicFile file(options.out);
  const bool trees = options.format == ExportFormat::xgboost;
  const std::string bytes = script  ? detail::encode_torchscript(trained, model)
                            : trees ? booster_of(model).save(BoosterFormat::json)
                                    : encode_weights(trained, model);
  file.write(bytes);
  const torch::Tensor images = random_images(trained.info.model);
  const torch::Tensor expected = probabilities_of(trained, model, images);
  torch::Tensor read_back;
  if (script) {
    read_back = detail::run_torchscript(file.temporary(), images);
  } else if (trees) {
    Classifier read = read_booster(file.temporary(), trained);
    read_back = probabilities_of(trained, read, images);
  } else {
    Classifier read = trained.load_from(detail::SafetensorsFile(file.temporary()), run_options.model_file);
    read_back = probabilities_of(trained, read, images);
  }
  const double difference = (read_back - expected).abs().max().item<double>();
  if (!(difference <= k_accepted_difference))
    throw Error(ErrorKind::numerical,
                fmt::format("the probabilities of the exported model differ by {} from the run's, expected at most {}; "
                            "nothing was written",
                            difference, k_accepted_difference));
  ExportResult result{
      .loss = trained.label(), .seed = trained.info.seed, .max_difference = difference, .bytes = bytes.size()};
  if (trees) {
    result.beside = facts_path(options.out);
    write_file(*result.beside, tree_facts(folder, trained).dump(2) + "\n");
  }
  file.commit();
  return result;
}

}  // namespace ulmus
