#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

/// Double-precision vectors of published reference code. They are read from the folder in $ULMUS_GOLDEN, by default
/// ../shared/golden beside the source tree; where neither is there, each test falls back to a small copy that its own
/// double-precision code makes.
namespace ulmus::golden {

inline std::optional<nlohmann::json> read(const std::string& file) {
  const char* set = std::getenv("ULMUS_GOLDEN");
  const std::filesystem::path folder = set ? set : ULMUS_SOURCE_DIR "/../shared/golden";
  std::ifstream stream(folder / file);
  if (!stream) {
    if (set) ADD_FAILURE() << "ULMUS_GOLDEN is set, but " << folder / file << " cannot be read";
    return std::nullopt;
  }
  return nlohmann::json::parse(stream);
}

/// The published acceptance for double precision: |value - golden| <= tolerance * (1 + |golden|).
inline ::testing::AssertionResult near(double value, double expected, double tolerance = 1e-10) {
  if (std::fabs(value - expected) <= tolerance * (1 + std::fabs(expected))) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << value << " is not near " << expected;
}

}  // namespace ulmus::golden
