#include "train/trial_paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// `name` with '-' for every character that is awkward in a file name.
std::string readable(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return name;
}

/// The stem that Ulmus 0.1 used for every name.
std::string readable_slug(const std::string& name, std::uint64_t seed) {
  return fmt::format("{}.seed{}", readable(name), seed);
}

}  // namespace

std::string slug_of(const std::string& name, std::uint64_t seed) {
  // Keys and values of a loss remain distinguishable between '-', also in names such as `ib-focal` and negative
  // numbers, and so do the two losses that tune joins with '/'. The path of a weights file may contain both characters.
  constexpr std::size_t k_longest = 120;
  const std::string slug = readable_slug(name, seed);
  const bool plain = std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) || std::string_view("._:=,+-/").find(static_cast<char>(c)) != std::string_view::npos;
  });
  const bool ambiguous = name.find_first_of("/-") != std::string::npos && name.find("weights=") != std::string::npos;
  bool exponent = false;  // 1e+16 and 1e-16
  for (std::size_t i = 1; i + 1 < name.size(); ++i)
    exponent = exponent || (name[i] == '+' && std::isdigit(static_cast<unsigned char>(name[i + 1])));
  if (plain && !ambiguous && !exponent && slug.size() <= k_longest) return slug;
  const std::string hash = sha256(name).substr(0, 16);
  return fmt::format("{}.{}.seed{}", readable(name).substr(0, k_longest / 2), hash, seed);
}

TrialPaths paths_of(const fs::path& folder, const std::string& slug) {
  return {.slug = slug,
          .metrics = folder / "metrics.jsonl",
          .checkpoint = folder / "checkpoints" / (slug + ".safetensors"),
          .result = folder / "results" / (slug + ".json")};
}

std::vector<TrialPaths> trial_paths(const fs::path& folder, const std::vector<Trial>& trials) {
  const auto old_slug = [](const Trial& trial) { return readable_slug(trial.loss.text(), trial.seed); };
  std::vector<TrialPaths> paths;
  for (const Trial& trial : trials) {
    const std::string old = old_slug(trial);
    const TrialPaths old_paths = paths_of(folder, old);
    const bool unique = std::ranges::count(trials, old, old_slug) == 1;
    paths.push_back(unique && fs::exists(old_paths.checkpoint)
                        ? old_paths
                        : paths_of(folder, slug_of(trial.loss.text(), trial.seed)));
  }
  return paths;
}

}  // namespace ulmus::detail
