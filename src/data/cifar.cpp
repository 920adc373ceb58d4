#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "data/formats.hpp"
#include "data/sources.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// One of the two sets, as published by its authors.
struct Version {
  std::int64_t classes;
  std::string folder;  ///< folder in the unpacked archive
  std::vector<std::string> train;
  std::vector<std::string> test;
  std::string names;
};

const Version& version_of(std::string_view name) {
  static const Version k_cifar10{
      .classes = 10,
      .folder = "cifar-10-batches-bin",
      .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      .test = {"test_batch.bin"},
      .names = "batches.meta.txt"};
  static const Version k_cifar100{.classes = 100,
                                  .folder = "cifar-100-binary",
                                  .train = {"train.bin"},
                                  .test = {"test.bin"},
                                  .names = "fine_label_names.txt"};
  return name == "cifar10" ? k_cifar10 : k_cifar100;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// A folder with only some of the files counts as found, so that a missing file is reported by name.
bool holds_files(const fs::path& folder, const Version& version) {
  const auto is_there = [&](const std::string& file) { return is_file(folder / file); };
  return std::ranges::any_of(version.train, is_there) || std::ranges::any_of(version.test, is_there);
}

bool holds_image_folders(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder / "train", ignored) && fs::is_directory(folder / "test", ignored);
}

std::vector<std::string> class_names(const fs::path& folder, const Version& version) {
  if (const fs::path path = folder / version.names; is_file(path)) {
    std::vector<std::string> names;
    for (std::string& line : split(read_file(path), '\n')) {
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) names.push_back(std::move(line));
    }
    const bool readable = std::ranges::all_of(names, [](const auto& name) { return valid_utf8(name) == name.size(); });
    if (std::ssize(names) != version.classes || !readable)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has {} lines, expected {} class names in UTF-8; get the file again, "
                              "or remove it",
                              path.string(), names.size(), version.classes));
    return names;
  }
  if (version.classes == 10)
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  std::vector<std::string> names;
  for (std::int64_t label = 0; label < version.classes; ++label) names.push_back(fmt::format("{}", label));
  return names;
}

std::vector<fs::path> version_paths(std::string_view name, const Version& version, const OpenOptions& options) {
  const std::string own(name);
  const std::array<std::string, 3> folders{own, version.folder, own + "/" + version.folder};
  return search_paths(folders, options.data_root);
}

class CifarImages : public ImageSource {
 public:
  CifarImages(std::string records, std::int64_t record_bytes)
      : records_(std::move(records)), record_bytes_(record_bytes) {}

  void read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    std::memcpy(pixels.data(), records_.data() + (index + 1) * record_bytes_ - k_cifar_pixels, k_cifar_pixels);
  }

 private:
  std::string records_;  ///< of all files; each record ends with the pixels
  std::int64_t record_bytes_;
};

Dataset open_part(const fs::path& folder, std::span<const std::string> files, const Version& version) {
  DatasetInfo info{.class_names = class_names(folder, version), .shape = {.channels = 3, .height = 32, .width = 32}};
  std::string records;
  std::string digests;
  for (const std::string& file : files) {
    const fs::path path = folder / file;
    if (!is_file(path))
      throw Error(ErrorKind::data, fmt::format("'{}' is missing; put it there, or get the set again", path.string()));
    const std::string bytes = read_file(path);
    const std::vector<std::int64_t> labels = read_cifar_labels(bytes, path, version.classes);
    info.labels.insert(info.labels.end(), labels.begin(), labels.end());
    digests += sha256(bytes);
    records += bytes;
  }
  info.sha256 = sha256(digests);
  return Dataset(std::move(info),
                 std::make_shared<const CifarImages>(std::move(records), cifar_record(version.classes)));
}

}  // namespace

std::vector<std::int64_t> read_cifar_labels(std::string_view bytes, const fs::path& path, std::int64_t classes) {
  const auto record = static_cast<std::size_t>(cifar_record(classes));
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::data, fmt::format("'{}' {}; get the file again", path.string(), what));
  };
  if (bytes.empty() || bytes.size() % record != 0)
    fail(fmt::format("is {} bytes long, expected whole records of {} bytes (CIFAR-{}, binary version)", bytes.size(),
                     record, classes));
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < bytes.size() / record; ++i) {
    const std::size_t end = (i + 1) * record - static_cast<std::size_t>(k_cifar_pixels);
    labels.push_back(static_cast<unsigned char>(bytes[end - 1]));
    if (labels.back() >= classes)
      fail(fmt::format("gives image {} the label {}, expected 0 to {}", i, labels.back(), classes - 1));
  }
  return labels;
}

bool cifar_is_folders(std::string_view name, const OpenOptions& options) {
  const Version& version = version_of(name);
  return std::ranges::none_of(version_paths(name, version, options),
                              [&](const fs::path& place) { return holds_files(place, version); });
}

OpenedData open_cifar(std::string_view name, const OpenOptions& options) {
  const Version& version = version_of(name);
  const std::vector<fs::path> places = version_paths(name, version, options);

  const auto files = std::ranges::find_if(places, [&](const fs::path& place) { return holds_files(place, version); });
  if (files != places.end()) {
    reject_image_options(options, fmt::format("the binary version of {}", name));
    OpenedData data;
    data.train = open_part(*files, version.train, version);
    data.test = open_part(*files, version.test, version);
    return data;
  }
  const auto images = std::ranges::find_if(
      places, [&](const fs::path& place) { return place.filename() == name && holds_image_folders(place); });
  if (images == places.end())
    throw_not_found(
        name, places,
        fmt::format("put the files of its binary version ({} ...), or the folders train and test with a folder of "
                    "images per class, in a folder '{}' and name the one above it by {}",
                    version.train[0], name, option_name("data_root", "FOLDER")));
  OpenedData data = open_folder(*images, options);
  if (data.train.classes() != version.classes)
    throw Error(ErrorKind::data, fmt::format("'{}' has {} classes, {} has {}; open it as folder:{}", images->string(),
                                             data.train.classes(), name, version.classes, images->string()));
  return data;
}

}  // namespace ulmus::detail
