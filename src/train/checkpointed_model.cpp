#include "train/checkpointed_model.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "train/tree_classifier.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// Balanced accuracy on the validation part, from the model's result; absent without a validation part.
std::optional<double> validation_accuracy(const fs::path& folder, const CheckpointedModel& trained) {
  const fs::path result = folder / "results" / trained.checkpoint.stem().concat(".json");
  if (!fs::exists(result))
    throw_usage(
        fmt::format("'{}' has not finished, so the models of '{}' cannot be compared; choose one with {} and {}, "
                    "or finish it with {}",
                    trained.name(), folder.string(), option_name("loss"), option_name("seed"),
                    option_name("resume", shell_quoted(folder.string()))));
  try {
    const Json json = parse_json(read_file(result));
    const Json& validation = json.at("validation");
    if (validation.is_null()) return std::nullopt;
    return validation.at("balanced_accuracy").get<double>();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, fmt::format("'{}' is not the result of a model: {}; train again", result.string(),
                                             printable(error.what(), k_long_text)));
  }
}

}  // namespace

std::string CheckpointedModel::label() const { return model_name(info, loss); }

std::string CheckpointedModel::name() const { return fmt::format("{} seed {}", label(), info.seed); }

LossSpec CheckpointedModel::resolved() const {
  return info.chosen ? loss.with(loss.automatic()->name, *info.chosen) : loss;
}

Classifier CheckpointedModel::load(const std::optional<std::string>& model_file) {
  const SafetensorsFile file(checkpoint);
  info = read_checkpoint_info(file);
  loss = loss_of(info, checkpoint);
  return load_from(file, model_file);
}

Classifier CheckpointedModel::load_from(const SafetensorsFile& file,
                                        const std::optional<std::string>& model_file) const {
  const bool script = info.model.name.starts_with("torchscript:");
  if (model_file && !script)
    throw_usage(fmt::format("{} cannot apply: {} has the model '{}', which is no TorchScript file; leave it out",
                            option_name("model_file"), name(), printable(info.model.name)));
  if (is_tree_model(info.model.name)) {
    Classifier trees = load_trees(file, info, loss.scale(), at::get_num_threads());
    trees->eval();
    return trees;
  }
  ModelOptions options = info.model;
  options.script = model_file.value_or("");
  Classifier model = nullptr;
  try {
    model = make_model(options);
  } catch (const Error& error) {
    // The checkpoint names the model, so a wrong name is a fault of the file; a missing script must be named by the
    // user.
    if (error.kind() != ErrorKind::usage || script) throw;
    throw Error(ErrorKind::data, fmt::format("checkpoint '{}' does not fit: {}", file.path().string(), error.what()));
  }
  load_checkpoint(file, model, nullptr);
  require_finite(file.path(), model);
  model->eval();
  return model;
}

std::vector<CheckpointedModel> all_models(const fs::path& folder) {
  std::vector<fs::path> paths;
  if (fs::is_directory(folder / "checkpoints"))
    for (const auto& entry : fs::directory_iterator(folder / "checkpoints"))
      if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<CheckpointedModel> models;
  for (const fs::path& path : paths) {
    CheckpointInfo info = read_checkpoint_info(SafetensorsFile(path));
    LossSpec loss = loss_of(info, path);
    models.push_back({path, std::move(info), std::move(loss)});
  }
  if (models.empty()) throw_usage(fmt::format("'{}' holds no checkpoint; train it first", folder.string()));
  return models;
}

std::string names_of(const std::vector<CheckpointedModel>& models) {
  std::vector<std::string> names;
  for (const CheckpointedModel& trained : models) names.push_back(trained.name());
  return join(names, "; ");
}

std::vector<CheckpointedModel> select_models(std::vector<CheckpointedModel> models, const ModelSelection& selection,
                                             const fs::path& folder) {
  const std::string known = names_of(models);
  const bool tuned = std::ranges::any_of(
      models, [&](const CheckpointedModel& m) { return m.info.tuned && m.info.tuned == selection.loss; });
  std::optional<std::string> label = selection.loss;
  if (label && !tuned) label = LossSpec::parse(*label).text();
  std::erase_if(models, [&](const CheckpointedModel& m) {
    return (label && *label != m.label()) || (selection.seed && *selection.seed != m.info.seed);
  });
  if (models.empty()) throw_usage(fmt::format("'{}' has no such model; choose one of {}", folder.string(), known));
  return models;
}

std::vector<CheckpointedModel> find_models(const fs::path& folder, const ModelSelection& selection) {
  return select_models(all_models(folder), selection, folder);
}

CheckpointedModel choose_model(const fs::path& folder, const ModelSelection& selection) {
  std::vector<CheckpointedModel> models = find_models(folder, selection);
  if (models.size() == 1) return models[0];
  struct Candidate {
    double sum = 0;
    std::vector<const CheckpointedModel*> seeds;
    double mean() const { return sum / static_cast<double>(seeds.size()); }
  };
  std::map<std::string, Candidate> losses;
  for (const CheckpointedModel& trained : models) {
    const auto accuracy = validation_accuracy(folder, trained);
    if (!accuracy)
      throw_usage(
          fmt::format("'{}' has several models and no validation part to choose one on; choose with {} and {} one "
                      "of {}",
                      folder.string(), option_name("loss"), option_name("seed"), names_of(models)));
    Candidate& candidate = losses[trained.label()];
    candidate.sum += *accuracy;
    candidate.seeds.push_back(&trained);
  }
  const auto best = std::ranges::max_element(losses, {}, [](const auto& entry) { return entry.second.mean(); });
  return **std::ranges::min_element(best->second.seeds, {}, [](const CheckpointedModel* m) { return m->info.seed; });
}

void for_each_output(Classifier& model, const CheckpointedModel& trained, const Dataset& data,
                     const std::vector<std::int64_t>& indices, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit) {
  const ModelOptions& shape = trained.info.model;
  if (shape.channels != data.shape().channels || shape.height != data.shape().height ||
      shape.width != data.shape().width || shape.classes != data.classes())
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' has {} classes of images of {}x{}x{}, '{}' was trained on {} of {}x{}x{} (channels x height "
                    "x width); convert the images, or restore the checkpoint",
                    data.name(), data.classes(), data.shape().channels, data.shape().height, data.shape().width,
                    trained.checkpoint.string(), shape.classes, shape.channels, shape.height, shape.width));
  std::span<const std::int64_t> ahead = indices;
  for_each_logits(model, data, indices, trained.info.normalisation, loader_threads, placement,
                  [&](const torch::Tensor& logits, std::span<const std::int64_t> labels) {
                    if (const auto row = first_not_finite(logits))
                      throw Error(ErrorKind::numerical,
                                  fmt::format("what {} gives for sample {} of '{}' is infinite or not a number; its "
                                              "values are far from those that were trained on, correct or remove it",
                                              trained.name(), ahead[static_cast<std::size_t>(*row)], data.name()));
                    visit(logits, labels);
                    ahead = ahead.subspan(labels.size());
                  });
}

void require_classes(const CheckpointedModel& trained, const Split& split) {
  if (trained.info.class_names == split.class_names && split.train_counts.size() == split.class_names.size()) return;
  throw Error(ErrorKind::data, fmt::format("checkpoint '{}' has other classes than split.json beside it; restore the "
                                           "one that does not belong to the run",
                                           trained.checkpoint.string()));
}

}  // namespace ulmus::detail
