#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "ulmus/base/file.hpp"

namespace ulmus {

/// Writes an array in NumPy's .npy format, version 1.0, row by row and atomically.
class NpyWriter {
 public:
  /// `type` is NumPy's name of a little-endian type: "<f4", "<f2" or "<i8". Throws Error{environment}, as write() and
  /// commit() do.
  NpyWriter(const std::filesystem::path& path, std::string_view type, std::span<const std::int64_t> shape);

  /// Appends the bytes of the next elements, in row-major order.
  void write(std::string_view bytes);

  /// Makes the file visible. Throws std::logic_error unless all elements were written.
  void commit();

 private:
  AtomicFile file_;
  std::size_t missing_;  ///< bytes that have not been written yet
};

}  // namespace ulmus
