#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "data/formats.hpp"
#include "data/sources.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/input_file.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// Fills `out` from position `begin` on. Uses reads, because truncating a mapped file raises a signal; the operating
/// system caches what was read and frees it when memory is short.
void read_exactly(const InputFile& file, std::size_t begin, std::span<char> out) {
  const std::size_t came = file.read(begin, out);
  if (came < out.size())
    throw Error(ErrorKind::data, fmt::format("'{}' has become shorter while it was in use: {} bytes are expected from "
                                             "position {} on; restore it and do not change it",
                                             file.path().string(), out.size() - came, begin + came));
}

std::string read_exactly(const InputFile& file, std::size_t begin, std::size_t size) {
  std::string bytes(size, '\0');
  read_exactly(file, begin, bytes);
  return bytes;
}

/// The rows of a feature file in C order, read on demand.
class RowsOnDemand : public FeatureSource {
 public:
  RowsOnDemand(std::unique_ptr<const InputFile> file, const NpyHeader& header)
      : file_(std::move(file)), header_(header) {}

  void read(std::int64_t index, std::span<float> out) const override {
    const std::size_t bytes = header_.row_bytes();
    thread_local std::string row;
    row.resize(bytes);
    read_exactly(*file_, header_.begin + static_cast<std::size_t>(index) * bytes, row);
    decode_npy_row(header_, row, out);
  }

 private:
  std::unique_ptr<const InputFile> file_;
  NpyHeader header_;
};

/// The rows of a feature file in Fortran order, in memory, because each row is spread over the file.
class RowsInMemory : public FeatureSource {
 public:
  RowsInMemory(const InputFile& file, const NpyHeader& header)
      : rows_(npy_by_rows(header, read_exactly(file, header.begin, file.size() - header.begin))), header_(header) {}

  void read(std::int64_t index, std::span<float> out) const override {
    const std::size_t bytes = header_.row_bytes();
    decode_npy_row(header_, std::string_view(rows_).substr(static_cast<std::size_t>(index) * bytes, bytes), out);
  }

 private:
  std::string rows_;
  NpyHeader header_;
};

/// One pass over the file: computes its SHA-256 and checks that all features are finite.
std::string check_features(const InputFile& file, const NpyHeader& header) {
  Sha256 digest;
  digest.add(read_exactly(file, 0, header.begin));
  if (header.by_columns) {
    const std::string values = read_exactly(file, header.begin, file.size() - header.begin);
    digest.add(values);
    const std::string rows = npy_by_rows(header, values);
    for (std::int64_t r = 0; r < header.rows(); ++r)
      check_npy_row(header,
                    std::string_view(rows).substr(static_cast<std::size_t>(r) * header.row_bytes(), header.row_bytes()),
                    r);
    return digest.hex();
  }
  constexpr std::size_t k_chunk = std::size_t{1} << 22;
  const auto rows = static_cast<std::int64_t>(std::max<std::size_t>(1, k_chunk / header.row_bytes()));
  std::string chunk;
  for (std::int64_t first = 0; first < header.rows(); first += rows) {
    const std::int64_t count = std::min(rows, header.rows() - first);
    chunk.resize(static_cast<std::size_t>(count) * header.row_bytes());
    read_exactly(file, header.begin + static_cast<std::size_t>(first) * header.row_bytes(), std::span(chunk));
    digest.add(chunk);
    for (std::int64_t r = 0; r < count; ++r)
      check_npy_row(
          header, std::string_view(chunk).substr(static_cast<std::size_t>(r) * header.row_bytes(), header.row_bytes()),
          first + r);
  }
  return digest.hex();
}

/// Features and their labels as text; no labels without a label file.
struct Part {
  DatasetInfo info;
  std::shared_ptr<const FeatureSource> features;
  LabelTexts labels;
};

Part open_part(const fs::path& features, const std::optional<fs::path>& labels) {
  auto file = std::make_unique<const InputFile>(features);
  const NpyHeader header = read_npy_header(read_exactly(*file, 0, std::min(file->size(), k_npy_header_limit)),
                                           file->size(), features, NpyKind::features);
  Part part;
  std::string label_bytes;
  if (labels) {
    label_bytes = read_file(*labels);
    part.labels = read_npy_labels(label_bytes, *labels);
    if (header.rows() != part.labels.size())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' holds {} rows of features but '{}' holds {} labels; take both from the same set",
                              features.string(), header.rows(), labels->string(), part.labels.size()));
  } else {
    part.info.labels.assign(static_cast<std::size_t>(header.rows()), 0);
  }
  part.info.shape = {.channels = header.columns(), .height = 1, .width = 1};
  const std::string digest = check_features(*file, header);
  if (labels) part.info.sha256 = sha256(digest + sha256(label_bytes));
  if (header.by_columns)
    part.features = std::make_shared<const RowsInMemory>(*file, header);
  else
    part.features = std::make_shared<const RowsOnDemand>(std::move(file), header);
  return part;
}

LabelRules label_rules(const fs::path& labels, const Address& address, const OpenOptions& options) {
  return {.literal = literal_names(address),
          .known = options.classes,
          .file = labels,
          .place = [labels](std::size_t i) { return fmt::format("'{}' sample {} (from 0)", labels.string(), i); },
          .may_be_quantity = true};
}

std::array<fs::path, 2> two_files(std::span<const std::string> files, const Address& address) {
  if (files.size() != 2 || files[0].empty() || files[1].empty())
    throw Error(
        ErrorKind::usage,
        fmt::format("data address '{}' needs two files, features and labels: npy:FEATURES,LABELS, and for a test "
                    "part ?test=FEATURES,LABELS (a comma in a name is %2C)",
                    address.text));
  return {files[0], files[1]};
}

}  // namespace

Dataset open_unlabelled_npy(const fs::path& file, std::vector<std::string> class_names) {
  Part part = open_part(file, std::nullopt);
  part.info.name = file.string();
  part.info.class_names = std::move(class_names);
  return Dataset(std::move(part.info), std::move(part.features));
}

OpenedData open_npy(const Address& address, const OpenOptions& options) {
  reject_image_options(options, "npy:FEATURES,LABELS");
  const auto [features, labels] = two_files(address.files(), address);
  const std::optional<ClassFile> names = class_file(address);
  Part train = open_part(features, labels);
  Classes classes = classes_of(train.labels, label_rules(labels, address, options), names);
  train.info.class_names = std::move(classes.names);
  train.info.labels = std::move(classes.labels);
  OpenedData data{.train = Dataset(std::move(train.info), std::move(train.features))};
  if (!address.find("test")) return data;

  const std::array<fs::path, 2> test_files = two_files(address.list("test"), address);
  Part test = open_part(test_files[0], test_files[1]);
  const LabelRules rules = label_rules(test_files[1], address, options);
  test.info.class_names = data.train.class_names();
  if (test.info.shape != data.train.shape())
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' has {} features per row but the training part '{}' has {}; take both from the same set",
                    test_files[0].string(), test.info.shape.channels, features.string(), data.train.shape().channels));
  test.info.labels = labels_among(names ? named_by(*names, test.labels, rules) : test.labels, data.train.class_names(),
                                  rules, "the training part");
  data.test = Dataset(std::move(test.info), std::move(test.features));
  return data;
}

}  // namespace ulmus::detail
