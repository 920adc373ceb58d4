#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "ulmus/base/safetensors.hpp"

namespace ulmus::detail {

/// The metadata's key for what the features are of.
inline constexpr const char* k_features_origin = "origin";

/// A file of features: tensors `features`, F32 [n, D], and `indices`, I64 [n], ascending, of samples of a data set.
class FeatureFile {
 public:
  /// Throws Error{data} when the file has other features than those of `origin`, of another width, or indices that are
  /// not ascending from 0 to below `samples`.
  FeatureFile(const std::filesystem::path& path, const std::string& origin, std::int64_t width, std::int64_t samples);

  std::span<const std::int64_t> indices() const { return indices_; }
  /// Reads the features at a position of indices(), [D]. May be called from several threads.
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
