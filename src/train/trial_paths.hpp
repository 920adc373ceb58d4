#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ulmus/train/plan.hpp"

namespace ulmus::detail {

/// The files of one trial in a run folder.
struct TrialPaths {
  std::string slug;                  ///< stem of the trial's own files
  std::filesystem::path metrics;     ///< metrics.jsonl, shared by the run
  std::filesystem::path checkpoint;  ///< checkpoints/<slug>.safetensors
  std::filesystem::path result;      ///< results/<slug>.json
};

/// The stem of the files of a model, from its name and seed: "elm-lambda-0.5-drw.seed0". Different models have
/// different stems of at most 150 bytes: a name that is long, or that this spelling could confuse with another (paths,
/// exponents), is cut off and followed by a hash.
std::string slug_of(const std::string& name, std::uint64_t seed);

TrialPaths paths_of(const std::filesystem::path& folder, const std::string& slug);

/// The files of every trial. A run that Ulmus 0.1 began keeps the file names that 0.1 gave it, unless two trials shared
/// one.
std::vector<TrialPaths> trial_paths(const std::filesystem::path& folder, const std::vector<Trial>& trials);

}  // namespace ulmus::detail
