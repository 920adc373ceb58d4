#include "train/feature_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ulmus/base/error.hpp"
#include "ulmus/loss/float16.hpp"

namespace ulmus::detail {
namespace {

[[noreturn]] void reject_file(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::data,
              fmt::format("'{}' {}; remove the file, and its features are computed again", path.string(), why));
}

bool is_float(const StoredType& type) { return type.id == StoredType::Id::f32 || type.id == StoredType::Id::f16; }

}  // namespace

FeatureFile::FeatureFile(const std::filesystem::path& path, const std::string& origin, std::int64_t width,
                         std::int64_t samples)
    : file_(path), features_(file_.find("features")) {
  const auto& metadata = file_.header().metadata;
  const auto found = metadata.find(k_features_origin);
  if (found == metadata.end() || found->second != origin) reject_file(path, "holds features of other data or weights");
  const StoredTensor* indices = file_.find("indices");
  if (!features_ || !indices || indices->type.id != StoredType::Id::i64 || indices->shape.size() != 1 ||
      indices->shape[0] > samples || !is_float(features_->type) ||
      features_->shape != std::vector{indices->shape[0], width})
    reject_file(path, fmt::format("does not hold features of {} numbers with their indices", width));
  indices_.resize(static_cast<std::size_t>(indices->shape[0]));
  file_.read(*indices, indices_.data());
  for (std::size_t i = 0; i < indices_.size(); ++i)
    if (indices_[i] < 0 || indices_[i] >= samples || (i > 0 && indices_[i] <= indices_[i - 1]))
      reject_file(path, "has indices that are not ascending, or beyond the data");
}

void FeatureFile::read(std::int64_t position, std::span<float> features) const {
  StoredTensor row = *features_;
  row.size = features.size() * row.type.bytes;
  row.begin += static_cast<std::size_t>(position) * row.size;
  if (row.type.id == StoredType::Id::f16) {
    std::vector<Half> stored(features.size());
    file_.read(row, stored.data());
    std::ranges::transform(stored, features.begin(), [](Half value) { return static_cast<float>(value); });
  } else {
    file_.read(row, features.data());
  }
  for (const float value : features)
    if (!std::isfinite(value)) reject_file(file_.path(), "has values that are infinite or not a number");
}

void FeatureFile::will_read(std::int64_t first, std::int64_t count) const {
  const std::size_t row = features_->size / indices_.size();
  file_.will_read(features_->begin + static_cast<std::size_t>(first) * row, static_cast<std::size_t>(count) * row);
}

}  // namespace ulmus::detail
