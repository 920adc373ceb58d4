#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

/// Double-precision vectors of published reference code: those in tests/golden (described in its README), or plain JSON
/// in the folder named by $ULMUS_GOLDEN.
namespace ulmus::golden {

/// Reads the cases of the file NAME.json.gz or, in the named folder, NAME.json; none if that folder does not contain
/// it. Throws std::runtime_error for a file that cannot be read.
inline nlohmann::json cases(const std::string& name) {
  const char* named = std::getenv("ULMUS_GOLDEN");
  std::filesystem::path path = std::filesystem::path(ULMUS_SOURCE_DIR) / "tests/golden" / (name + ".json.gz");
  if (named) {
    if (!std::filesystem::is_directory(named))
      throw std::runtime_error("ULMUS_GOLDEN is '" + std::string(named) + "', which is no folder");
    path = std::filesystem::path(named) / (name + ".json");
    if (!std::filesystem::exists(path)) return nlohmann::json::array();
  }
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);  // also reads plain files
  if (!file) throw std::runtime_error("cannot read '" + path.string() + "'");
  std::string text;
  std::array<char, 1 << 16> block;
  int length;
  while ((length = gzread(file.get(), block.data(), block.size())) > 0) text.append(block.data(), length);
  if (length < 0) throw std::runtime_error("'" + path.string() + "' is damaged");
  return nlohmann::json::parse(text)["cases"];
}

/// Minimum number of comparisons in a test; a named folder may have fewer cases.
inline int at_least(int comparisons) { return std::getenv("ULMUS_GOLDEN") ? 0 : comparisons; }

/// The published acceptance criterion for double precision: |value - golden| <= tolerance * (1 + |golden|).
inline ::testing::AssertionResult near(double value, double expected, double tolerance = 1e-10) {
  if (std::fabs(value - expected) <= tolerance * (1 + std::fabs(expected))) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << value << " is not near " << expected;
}

}  // namespace ulmus::golden
