#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus::detail {

/// The files that a name with `*` in its last part stands for, ordered by the numbers in their names (part-2 before
/// part-10); a name without `*`, or of a file that exists, stands for itself. Hidden files are skipped. Throws
/// Error{data} when there is none, or the folder cannot be read.
struct ShardFiles {
  std::vector<std::filesystem::path> files;  ///< at least one
  std::vector<std::string> matched;          ///< what `*` stands for in each; empty for a name that stands for itself
};
ShardFiles shard_files(const std::string& name);

/// Whether `a` comes before `b` when digits are compared as the numbers they make.
bool numeric_less(std::string_view a, std::string_view b);

}  // namespace ulmus::detail
