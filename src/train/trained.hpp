#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "train/checkpoint.hpp"
#include "train/inference.hpp"
#include "train/placement.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/eval/posthoc.hpp"
#include "ulmus/train/apply.hpp"

namespace ulmus::detail {

/// A member of a run as its checkpoint has it.
struct TrainedMember {
  std::filesystem::path checkpoint;
  CheckpointInfo info;
  LossSpec loss;

  std::string label() const;  ///< "ce", or what `tune` called it
  std::string name() const;   ///< "ce seed 0"
  /// The loss with what the trainer chose for a key that is `auto`.
  LossSpec resolved() const;
  /// Builds the model and loads its weights, and `info` and `loss` once more from the same file: a training may have
  /// put a new checkpoint in its place. `model_file` is the file of a TorchScript backbone, which only the person can
  /// name; see RunOptions. Throws Error{usage} where it is missing or of no use.
  Classifier load(const std::string& model_file);
  /// The same model with the weights of another file.
  Classifier load_from(const SafetensorsFile& file, const std::string& model_file) const;
};

/// Every member of a run, in the order of their files' names. Throws Error{usage} when there is none.
std::vector<TrainedMember> all_members(const std::filesystem::path& folder);

/// The members that `loss` and `seed` select, empty and -1: all, in the order of their files' names. Throws
/// Error{usage} when there is none, with those that are there.
std::vector<TrainedMember> find_members(const std::filesystem::path& folder, const std::string& loss,
                                        std::int64_t seed);

/// The one member to predict with, as predict_run says.
TrainedMember choose_member(const std::filesystem::path& folder, const std::string& loss, std::int64_t seed);

/// Throws Error{data} with the cure unless the opened data are those of the split.
void require_same_data(const OpenedData& data, const Split& split, const std::filesystem::path& folder,
                       std::string_view cure = "name other data with --data");

/// Says what of opened data was not used or changed (all_notes), each line once.
void announce_notes(const OpenedData& data);

/// Opens the data of a run, or data to judge it on, with its classes by name; a table is encoded as the checkpoint
/// says.
OpenedData open_run_data(const RunOptions& options, const std::string& encoding,
                         const std::vector<std::string>& classes);

/// for_each_logits with the normalisation of a member. Throws Error{data} for data that are not of its shape,
/// Error{numerical} naming the first sample whose logits are not finite.
void for_each_output(Classifier& model, const TrainedMember& member, const Dataset& data,
                     const std::vector<std::int64_t>& indices, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit);

/// The first row [n, ...] with a value that is infinite or not a number, if there is one.
std::optional<std::int64_t> first_not_finite(const torch::Tensor& rows);

/// Throws Error{data} unless the checkpoint has the classes of the run's split.
void require_classes(const TrainedMember& member, const Split& split);

/// An adjustment, read once for all members.
class Adjuster {
 public:
  /// Opens the run's data when a temperature is to be fitted. Throws Error{usage} for what cannot be.
  Adjuster(const std::filesystem::path& folder, const RunOptions& options, const Adjustment& adjustment, Split split,
           const std::string& encoding);

  struct Reading {
    Scores scores;
    std::vector<double> assumed_prior;  ///< empty without a test prior
  };
  /// How to read a member; changes the head of `model` for tau-norm.
  Reading read(const TrainedMember& member, Classifier& model) const;

  const std::vector<double>& prior() const { return prior_; }
  bool has_temperature() const { return fit_ || temperature_ != 0; }
  bool fits() const { return fit_; }

 private:
  Split split_;
  ClassCounts counts_;
  PostHoc posthoc_;
  std::vector<double> prior_;
  double temperature_ = 0;  ///< 0: none given
  bool fit_ = false;
  int loader_threads_;
  Placement placement_;
  OpenedData data_;  ///< where a temperature is fitted
};

}  // namespace ulmus::detail
