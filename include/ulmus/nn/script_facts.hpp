#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ulmus {

/// What a TorchScript file says of its backbone: `ulmus.json` among its extra files, which `python -m ulmus.backbones`
/// writes.
struct ScriptFacts {
  std::string name;
  std::int64_t image_size = 0;      ///< side of the square images that the weights were trained on
  std::vector<float> mean, stddev;  ///< per channel, of pixels in [0, 1]
};

/// Reads the facts without executing the script; nothing for a file that has none or cannot be read. Throws
/// Error{data} for facts that make no sense.
std::optional<ScriptFacts> read_script_facts(const std::filesystem::path& path);

}  // namespace ulmus
