#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "data/formats.hpp"
#include "data/npy_rows.hpp"
#include "data/npy_shards.hpp"
#include "data/sources.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// Features and their labels as text; no labels without label files.
struct Part {
  DatasetInfo info;
  std::shared_ptr<const FeatureSource> features;
  LabelTexts labels;
  std::vector<fs::path> label_files;
  std::vector<std::int64_t> label_ends;  ///< the sample after the last of each of these files
};

/// Labels come in one file for all features, or in one for each file of features, which `*` gives the same name.
void check_pairs(const ShardFiles& features, const ShardFiles& labels) {
  if (labels.files.size() == 1) return;
  if (features.files.size() != labels.files.size())
    throw Error(ErrorKind::data, fmt::format("there are {} files of features ('{}' is the first) but {} of labels "
                                             "('{}'); give a file of labels for each of features, or one for all",
                                             features.files.size(), features.files[0].string(), labels.files.size(),
                                             labels.files[0].string()));
  for (std::size_t i = 0; i < features.files.size(); ++i)
    if (features.matched[i] != labels.matched[i])
      throw Error(ErrorKind::data, fmt::format("'{}' would have the labels of '{}'; * must stand for the same text in "
                                               "the names of both",
                                               features.files[i].string(), labels.files[i].string()));
}

void check_widths(std::span<const NpyRows> parts) {
  const NpyHeader& first = parts[0].header;
  for (const NpyRows& part : parts)
    if (part.header.columns() != first.columns())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has {} features per row but '{}' has {}; take all from the same set",
                              part.header.path.string(), part.header.columns(), first.path.string(), first.columns()));
}

/// Reads the labels of features of these numbers of rows, and returns the SHA-256 of their files.
std::vector<std::string> read_labels(const ShardFiles& files, std::span<const NpyRows> features, Part& part) {
  std::vector<std::string> digests;
  for (const fs::path& file : files.files) {
    const std::string bytes = read_file(file);
    digests.push_back(sha256(bytes));
    LabelTexts labels = read_npy_labels(bytes, file);
    const std::int64_t count = labels.size();
    if (files.files.size() == features.size()) {
      const NpyHeader& header = features[digests.size() - 1].header;
      if (header.rows() != count)
        throw Error(ErrorKind::data,
                    fmt::format("'{}' holds {} rows of features but '{}' holds {} labels; take both from the same set",
                                header.path.string(), header.rows(), file.string(), count));
    }
    if (part.label_files.empty())
      part.labels = std::move(labels);
    else
      for (const std::int64_t text : labels.inverse) part.labels.add(labels.distinct[static_cast<std::size_t>(text)]);
    part.label_files.push_back(file);
    part.label_ends.push_back(part.labels.size());
  }
  return digests;
}

/// One SHA-256 for those of several files; of a single file its own.
std::string digest_of(const std::vector<std::string>& digests) {
  return digests.size() == 1 ? digests[0] : sha256(join(digests, ""));
}

Part open_part(const ShardFiles& features, const std::optional<ShardFiles>& labels) {
  if (labels) check_pairs(features, *labels);
  std::vector<NpyRows> parts;
  std::vector<std::string> digests;
  std::int64_t rows = 0;
  for (const fs::path& file : features.files) {
    parts.push_back(open_npy_rows(file));
    digests.push_back(std::move(parts.back().sha256));
    rows += parts.back().header.rows();
    check_widths(parts);
  }
  Part part;
  if (labels) {
    const std::vector<std::string> label_digests = read_labels(*labels, parts, part);
    if (rows != part.labels.size())
      throw Error(ErrorKind::data, fmt::format("the {} files of features, '{}' and so on, hold {} rows but '{}' holds "
                                               "{} labels; take all from the same set",
                                               features.files.size(), features.files[0].string(), rows,
                                               labels->files[0].string(), part.labels.size()));
    part.info.sha256 = sha256(digest_of(digests) + digest_of(label_digests));
  } else {
    part.info.labels.assign(static_cast<std::size_t>(rows), 0);
  }
  part.info.shape = {.channels = parts[0].header.columns(), .height = 1, .width = 1};
  part.features = concatenate(std::move(parts));
  return part;
}

LabelRules label_rules(const Part& part, const Address& address, const OpenOptions& options) {
  const auto place = [files = part.label_files, ends = part.label_ends](std::size_t i) {
    const auto file =
        static_cast<std::size_t>(std::ranges::upper_bound(ends, static_cast<std::int64_t>(i)) - ends.begin());
    const std::int64_t begin = file == 0 ? 0 : ends[file - 1];
    return fmt::format("'{}' sample {} (from 0)", files[file].string(), static_cast<std::int64_t>(i) - begin);
  };
  return {.literal = literal_names(address),
          .known = options.classes,
          .file = part.label_files[0],
          .place = place,
          .may_be_quantity = true};
}

std::array<ShardFiles, 2> two_files(std::span<const std::string> files, const Address& address) {
  if (files.size() != 2 || files[0].empty() || files[1].empty())
    throw Error(
        ErrorKind::usage,
        fmt::format("data address '{}' needs two files, features and labels: npy:FEATURES,LABELS, and for a test "
                    "part ?test=FEATURES,LABELS (a comma in a name is %2C)",
                    address.text));
  return {shard_files(files[0]), shard_files(files[1])};
}

}  // namespace

Dataset open_unlabelled_npy(const fs::path& file, std::vector<std::string> class_names) {
  Part part = open_part({.files = {file}, .matched = {}}, std::nullopt);
  part.info.name = file.string();
  part.info.class_names = std::move(class_names);
  return Dataset(std::move(part.info), std::move(part.features));
}

OpenedData open_npy(const Address& address, const OpenOptions& options) {
  reject_image_options(options, "npy:FEATURES,LABELS");
  const auto [features, labels] = two_files(address.files(), address);
  const std::optional<ClassFile> names = class_file(address);
  Part train = open_part(features, labels);
  Classes classes = classes_of(train.labels, label_rules(train, address, options), names);
  train.info.class_names = std::move(classes.names);
  train.info.labels = std::move(classes.labels);
  OpenedData data{.train = Dataset(std::move(train.info), std::move(train.features))};
  if (!address.find("test")) return data;

  const auto [test_features, test_labels] = two_files(address.list("test"), address);
  Part test = open_part(test_features, test_labels);
  const LabelRules rules = label_rules(test, address, options);
  test.info.class_names = data.train.class_names();
  if (test.info.shape != data.train.shape())
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' has {} features per row but the training part '{}' has {}; take both from the same set",
                    test_features.files[0].string(), test.info.shape.channels, features.files[0].string(),
                    data.train.shape().channels));
  test.info.labels = labels_among(names ? named_by(*names, test.labels, rules) : test.labels, data.train.class_names(),
                                  rules, "the training part");
  data.test = Dataset(std::move(test.info), std::move(test.features));
  return data;
}

}  // namespace ulmus::detail
