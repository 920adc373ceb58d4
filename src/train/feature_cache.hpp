#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/base/safetensors.hpp"

namespace ulmus::detail {

/// The metadata's key for what the features are of: the checkpoint and the split.
inline constexpr const char* k_cache_origin = "origin";

/// A part of a feature cache: where its features lie, F32 [rows, width], and its labels, from 0 to below the classes.
struct CachedPart {
  StoredTensor features;
  std::vector<std::int64_t> labels;
};

/// The parts of a file of features that `tune` has kept, by name and rows; absent when it is of another origin. A file
/// of the right origin without them is damaged: Error{data} names it.
std::optional<std::map<std::string, CachedPart>> find_cached(const SafetensorsFile& file, const std::string& origin,
                                                             const std::map<std::string, std::int64_t>& parts,
                                                             std::int64_t width, std::int64_t classes);

/// Throws Error{data}: the features of a part are not there.
[[noreturn]] void refuse_cached(const std::filesystem::path& path, const std::string& part, std::int64_t rows);

}  // namespace ulmus::detail
