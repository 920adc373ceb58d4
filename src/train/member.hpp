#pragma once

#include <filesystem>
#include <functional>

#include "train/head_fit.hpp"
#include "train/placement.hpp"
#include "ulmus/base/json_fwd.hpp"
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

/// The loss that training begins with: a key `auto` has the middle of what is tried later.
LossSpec first_loss(const LossSpec& loss);

/// For a head that is fitted anew: the run's batches and reduction.
HeadFitOptions fit_options(const RunOptions& options, std::uint64_t seed);

/// How the data of a run are opened.
OpenOptions open_options(const RunOptions& options);

/// The indices of every image.
std::vector<std::int64_t> all_of(const Dataset& data);

ModelOptions model_options(const RunOptions& options, const Dataset& data, Head head);

}  // namespace ulmus::detail
