#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "ulmus/base/safetensors.hpp"

namespace ulmus::detail {

/// The metadata key that identifies the origin of the features.
inline constexpr const char* k_features_origin = "origin";

/// A file of features: tensors `features`, F32 or F16 [n, D], and `indices`, I64 [n], ascending sample indices of a
/// data set.
class FeatureFile {
 public:
  /// Throws Error{data} if the file has features of another origin than `origin` or of another width, or indices that
  /// are not ascending within [0, `samples`).
  FeatureFile(const std::filesystem::path& path, const std::string& origin, std::int64_t width, std::int64_t samples);

  std::span<const std::int64_t> indices() const { return indices_; }
  /// Reads the features at a position in indices(), [D]. Thread-safe.
  void read(std::int64_t position, std::span<float> features) const;
  /// Says that the features at these positions are read soon.
  void will_read(std::int64_t first, std::int64_t count) const;
  std::int64_t bytes() const { return static_cast<std::int64_t>(features_->size); }

 private:
  SafetensorsFile file_;
  const StoredTensor* features_;
  std::vector<std::int64_t> indices_;
};

}  // namespace ulmus::detail
