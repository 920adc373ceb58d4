#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/process.hpp"
#include "temporary_folder.hpp"

namespace ulmus::cli_test {

namespace fs = std::filesystem;

/// The four IDX files of `mnist` in root/mnist: 28 x 28 pixels; each of the 10 classes is a bright square at its own
/// position in noise.
void write_mnist(const fs::path& root, int train_per_class = 30, int test_per_class = 6);

/// Writes an image of the class in the same style, `channels` 1 or 3, in the format of its file extension.
void write_image(const fs::path& path, int label, int number, int side = 12, int channels = 3);

/// Writes folder/NAME/0.png and so on for each class.
void write_image_folder(const fs::path& folder, const std::vector<std::string>& names, int per_class, int side = 12);

std::string read_bytes(const fs::path& path);
void write_bytes(const fs::path& path, const std::string& bytes);
nlohmann::json read_json(const fs::path& path);

/// Removes keys that contain durations, at any depth.
nlohmann::json without_times(nlohmann::json json);

/// An evaluation without the metrics of ranking, which only `eval` computes for more than two classes.
nlohmann::json without_ranking(nlohmann::json evaluation);

/// The tensors of a safetensors file: their table and their bytes, without the metadata.
std::string tensors_of(const fs::path& path);

/// The bytes of each tensor of a checkpoint, without those of the optimizer.
std::map<std::string, std::string> weights_of(const fs::path& checkpoint);

/// A new folder with `mnist` in it, in which the program is run.
class CliTest : public ::testing::Test {
 protected:
  CliTest() { write_mnist(place_.folder / "root"); }

  fs::path path(const std::string& name) const { return place_.folder / name; }

  Outcome run(const Arguments& arguments) const { return ulmus(arguments, place_); }

  /// `compare` for about a second, on one thread so that a busy machine does not slow it down; later arguments take
  /// precedence.
  Arguments compare(const Arguments& more = {}) const {
    return Arguments{"compare",
                     "--data",
                     "mnist",
                     "--data-root",
                     "root",
                     "--losses",
                     "ce,elm:lambda=0.5+drw",
                     "--seeds",
                     "1",
                     "--epochs",
                     "3",
                     "--batch-size",
                     "30",
                     "--lr",
                     "0.05",
                     "--imbalance",
                     "exp:3",
                     "--augment",
                     "none",
                     "--threads",
                     "1"} +
           more;
  }

  /// Checks that the only output is one line that describes the error.
  static ::testing::AssertionResult complains(const Outcome& outcome, int code, const std::vector<std::string>& with);

  /// All paths in the working folder, relative and sorted.
  std::vector<std::string> contents() const;

  const TemporaryFolder scratch_;
  const Place place_{.folder = scratch_.path()};
};

/// Compares the reproducible part of two runs: results without durations and the tensors of the checkpoints.
::testing::AssertionResult same_run(const fs::path& first, const fs::path& second);

}  // namespace ulmus::cli_test
