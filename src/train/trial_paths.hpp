#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ulmus/train/plan.hpp"

namespace ulmus::detail {

/// The paths of one trial in a run folder.
struct TrialPaths {
  std::string slug;                  ///< stem of the trial's own files
  std::filesystem::path metrics;     ///< metrics.jsonl, shared by all trials of the run
  std::filesystem::path checkpoint;  ///< checkpoints/<slug>.safetensors
  std::filesystem::path result;      ///< results/<slug>.json
};

/// The file stem of a model, from its name and seed: "elm-lambda-0.5-drw.seed0". Different models have different stems
/// of at most 150 bytes: a name that is long or ambiguous in this spelling (paths, exponents) is truncated and gets a
/// hash.
std::string slug_of(const std::string& name, std::uint64_t seed);

TrialPaths paths_of(const std::filesystem::path& folder, const std::string& slug);

/// The paths of every trial. A run started with Ulmus 0.1 keeps the file names of 0.1, unless two trials shared one.
std::vector<TrialPaths> trial_paths(const std::filesystem::path& folder, const std::vector<Trial>& trials);

}  // namespace ulmus::detail
