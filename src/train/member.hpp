#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "ulmus/nn/model.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus::detail {

/// Where a member keeps its files.
struct MemberPaths {
  std::filesystem::path metrics;     ///< metrics.jsonl, shared by the run
  std::filesystem::path checkpoint;  ///< checkpoints/<slug>.safetensors
  std::filesystem::path result;      ///< results/<slug>.json
};

/// Step-by-step news of one member: fills in epoch, step and losses.
using MemberProgress = std::function<void(Progress&)>;

/// Trains one member from its checkpoint, or from the start, to the end and writes its result.
void train_member(const Plan& plan, const RunMember& member, const MemberPaths& paths, const MemberProgress& progress,
                  const std::function<bool()>& stop);

/// The indices of every image.
std::vector<std::int64_t> all_of(const Dataset& data);

/// Judges a model on a part of a data set.
Evaluation evaluate_model(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                          const ClassCounts& train_counts, const Normalisation& normalisation, double scale,
                          int loader_threads);

ModelOptions model_options(const std::string& name, const Dataset& data, Head head);

}  // namespace ulmus::detail
