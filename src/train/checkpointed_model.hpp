#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "train/checkpoint.hpp"
#include "train/forward.hpp"
#include "train/placement.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/train/model_selection.hpp"

namespace ulmus::detail {

/// A trained model of a run, described by its checkpoint.
struct CheckpointedModel {
  std::filesystem::path checkpoint;
  CheckpointInfo info;
  LossSpec loss;

  std::string label() const;  ///< "ce", or the name given by `tune`
  std::string name() const;   ///< "ce seed 0"
  /// The loss with the value that the trainer chose for an `auto` key.
  LossSpec resolved() const;
  /// Builds the model and loads its weights. Rereads `info` and `loss` from the same file, because a training may have
  /// replaced it meanwhile. `model_file` is the file of a TorchScript backbone, which only the user can name; see
  /// RunOptions. Throws Error{usage} if it is missing or does not apply.
  Classifier load(const std::optional<std::string>& model_file);
  /// The same model with weights from another file.
  Classifier load_from(const SafetensorsFile& file, const std::optional<std::string>& model_file) const;
};

/// Every model of a run, ordered by file name. Throws Error{usage} if there is none.
std::vector<CheckpointedModel> all_models(const std::filesystem::path& folder);

/// "ce seed 0; ldam seed 0", for messages.
std::string names_of(const std::vector<CheckpointedModel>& models);

/// Returns the models that match the selection. Throws Error{usage} listing all models if none matches.
std::vector<CheckpointedModel> select_models(std::vector<CheckpointedModel> models, const ModelSelection& selection,
                                             const std::filesystem::path& folder);

/// The selected models of a run, ordered by file name. Throws Error{usage} if there is none.
std::vector<CheckpointedModel> find_models(const std::filesystem::path& folder, const ModelSelection& selection);

/// The one model to predict with, chosen as described for predict_run.
CheckpointedModel choose_model(const std::filesystem::path& folder, const ModelSelection& selection);

/// for_each_logits with the normalisation of the model. Throws Error{data} for data of another shape, and
/// Error{numerical} naming the first sample whose logits are not finite.
void for_each_output(Classifier& model, const CheckpointedModel& trained, const Dataset& data,
                     const std::vector<std::int64_t>& indices, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit);

/// Throws Error{data} unless the checkpoint has the classes of the run's split.
void require_classes(const CheckpointedModel& trained, const Split& split);

}  // namespace ulmus::detail
