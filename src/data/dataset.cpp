#include "ulmus/data/dataset.hpp"

#include <fmt/format.h>

#include <utility>

#include "ulmus/base/error.hpp"

namespace ulmus {

std::optional<std::string> SampleSource::file(std::int64_t) const { return std::nullopt; }

std::optional<std::int64_t> SampleSource::line(std::int64_t) const { return std::nullopt; }

bool ImageSource::read_crop(std::int64_t, const CropChooser&, std::span<std::uint8_t>) const { return false; }

void FeatureSource::will_read(std::int64_t, std::int64_t) const {}

std::int64_t FeatureSource::bytes_on_disk() const { return 0; }

namespace {

void check_labels(const DatasetInfo& info) {
  const std::int64_t classes = std::ssize(info.class_names);
  for (std::size_t i = 0; classes > 0 && i < info.labels.size(); ++i)
    if (info.labels[i] < 0 || info.labels[i] >= classes)
      throw Error(ErrorKind::data, fmt::format("label {} of sample {} (from 0) of '{}' is no class, expected 0 to {}",
                                               info.labels[i], i, info.name, classes - 1));
}

}  // namespace

Dataset::Dataset() : Dataset(std::make_shared<const Content>()) {}

Dataset::Dataset(std::shared_ptr<const Content> content) : content_(std::move(content)) { check_labels(info()); }

Dataset::Dataset(DatasetInfo info, std::shared_ptr<const ImageSource> images)
    : Dataset(std::make_shared<const Content>(Content{std::move(info), std::move(images), nullptr})) {}

Dataset::Dataset(DatasetInfo info, std::shared_ptr<const FeatureSource> features)
    : Dataset(std::make_shared<const Content>(Content{std::move(info), nullptr, std::move(features)})) {}

Dataset Dataset::with_info(DatasetInfo info) const {
  return Dataset(std::make_shared<const Content>(Content{std::move(info), content_->images, content_->features}));
}

std::vector<std::int64_t> Dataset::counts() const {
  std::vector<std::int64_t> counts(class_names().size(), 0);
  if (counts.empty()) return counts;  // there are no labels either
  for (const std::int64_t label : labels()) ++counts[static_cast<std::size_t>(label)];
  return counts;
}

const ImageSource& Dataset::images() const {
  if (content_->images) return *content_->images;
  throw Error(ErrorKind::usage, fmt::format("'{}' has no images to read; read_features reads features", name()));
}

const SampleSource* Dataset::source() const {
  if (content_->images) return content_->images.get();
  return content_->features.get();
}

void Dataset::read(std::int64_t index, std::span<std::uint8_t> pixels) const { images().read(index, pixels); }

bool Dataset::read_crop(std::int64_t index, const CropChooser& choose, std::span<std::uint8_t> pixels) const {
  return images().read_crop(index, choose, pixels);
}

void Dataset::read_features(std::int64_t index, std::span<float> values) const {
  if (!content_->features)
    throw Error(ErrorKind::usage, fmt::format("'{}' has no features to read; read reads images", name()));
  content_->features->read(index, values);
}

void Dataset::will_read(std::int64_t first, std::int64_t count) const {
  if (content_->features) content_->features->will_read(first, count);
}

std::int64_t Dataset::bytes_on_disk() const { return content_->features ? content_->features->bytes_on_disk() : 0; }

std::optional<std::string> Dataset::file(std::int64_t index) const {
  return source() ? source()->file(index) : std::nullopt;
}

std::optional<std::int64_t> Dataset::line(std::int64_t index) const {
  return source() ? source()->line(index) : std::nullopt;
}

}  // namespace ulmus
