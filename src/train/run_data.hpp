#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/data/dataset.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// Throws Error{data}, ending with `cure`, unless the opened data are those of the split.
void require_same_data(const OpenedData& data, const Split& split, const std::filesystem::path& folder,
                       const std::string& cure);

/// The samples that a run is tested on: the test part of the data, or the part of the training data that the split
/// holds out. Refers to one of the data sets.
struct TestPart {
  const Dataset& data;
  std::vector<std::int64_t> indices;
};
TestPart test_part(const Dataset& train, const std::optional<Dataset>& test, const Split& split);

/// Logs what was ignored or changed in the opened data (all_notes), each line once.
void report_notes(const OpenedData& data);

/// Opens the data of a run, or other data to evaluate it on, with classes matched by name; a table is encoded as in the
/// checkpoint.
OpenedData open_run_data(const RunOptions& options, const std::optional<std::string>& encoding,
                         const std::vector<std::string>& classes);

}  // namespace ulmus::detail
