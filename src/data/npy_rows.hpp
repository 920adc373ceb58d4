#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/formats.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {

/// The features of an array [N, D], opened and checked.
struct NpyRows {
  std::shared_ptr<const FeatureSource> features;
  NpyHeader header;
  std::string sha256;  ///< of the file
};

/// Opens a file of features, and goes once through it for its SHA-256 and to find values that are not finite. In C
/// order the rows stay in the file: a row is read when it is asked for, by reads and not by a mapping, because a mapped
/// file that becomes shorter ends the process with a signal. Memory does not grow with the rows; what was read stays in
/// the cache of the operating system, which gives it back when memory is short. In Fortran order, where a row is spread
/// over the whole file, all are kept in memory.
///
/// Throws Error as read_file and read_npy_header do, Error{data} for a value that is not finite as a float. A later
/// read of a file that has become shorter throws Error{data}.
NpyRows open_npy_rows(const std::filesystem::path& file);

/// The rows of several arrays of one width, one after another.
std::shared_ptr<const FeatureSource> concatenate(std::vector<NpyRows> parts);

}  // namespace ulmus::detail
