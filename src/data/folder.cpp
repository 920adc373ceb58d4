#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "data/images.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

enum class PartName { none, train, test, validation };

/// The part of the data that a folder's name indicates.
PartName part_of(std::string name) {
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (name == "train" || name == "training") return PartName::train;
  if (name == "test" || name == "testing") return PartName::test;
  if (name == "val" || name == "valid" || name == "validation") return PartName::validation;
  return PartName::none;
}

/// The content of a folder, without clutter.
struct Listing {
  std::vector<std::string> folders;  ///< sorted by the bytes of their names
  std::vector<fs::path> files;
};

Listing list_folder(const fs::path& folder) {
  std::error_code code, ignored;
  Listing found;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    if (is_clutter(it->path())) continue;
    if (it->is_directory(ignored))
      found.folders.push_back(it->path().filename().string());
    else
      found.files.push_back(it->path());
  }
  if (code)
    throw Error(ErrorKind::data, fmt::format("cannot list the folder '{}': {}", folder.string(), code.message()));
  std::ranges::sort(found.folders);
  return found;
}

/// The names of the images of a class, relative to `part`, including its sub-folders.
std::vector<std::string> image_names(const fs::path& part, const std::string& name, KindCounts& not_images) {
  ImageWalker walk({part / name}, part);
  std::vector<std::string> images;
  for (fs::path path = walk.next(); !path.empty(); path = walk.next())
    images.push_back(path.lexically_relative(part).string());
  if (images.empty())
    throw Error(ErrorKind::data,
                fmt::format("class folder '{}' has no image{}; add some or remove the folder", (part / name).string(),
                            walk.not_images().empty() ? "" : ", only " + walk.not_images().text()));
  not_images.add(walk.not_images());
  return images;
}

/// The classes are the sub-folders, or the given ones (of the training part, or of a run), which belong to `lacking`.
ImageFiles list_part(const fs::path& folder, std::span<const std::string> known_classes, std::string_view lacking,
                     KindCounts& not_images) {
  ImageFiles files;
  files.root = folder;
  files.class_names = {known_classes.begin(), known_classes.end()};
  const Listing listing = list_folder(folder);
  const std::vector<std::string>& names = listing.folders;
  for (const fs::path& file : listing.files) {
    const std::string kind = kind_of_no_image(file);
    not_images.add(kind.empty() ? "image in no class folder" : kind);
  }
  for (const std::string& name : names)
    if (valid_utf8(name) != name.size())
      throw Error(ErrorKind::data, fmt::format("class folder '{}' in '{}' is not named in UTF-8; rename it",
                                               printable(name), folder.string()));
  if (known_classes.empty()) {
    if (names.size() < 2)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has {}, expected a folder of images for each of at least two classes",
                              folder.string(), names.empty() ? "no subfolder" : "one class, '" + names[0] + "'"));
    LabelTexts texts;
    for (const std::string& name : names) texts.add(name);
    const auto place = [&](std::size_t i) { return fmt::format("the folder '{}'", (folder / names[i]).string()); };
    // A folder name such as `NA` or `-1` is intentional.
    files.class_names =
        classes_of(texts, {.literal = texts.distinct, .twins_are_literal = false, .file = folder, .place = place})
            .names;
  }
  const NameIndex index(files.class_names);
  std::vector<std::pair<std::int64_t, std::string>> places;
  for (const std::string& name : names) {
    const auto place = index.find(name);
    if (!place)
      throw Error(ErrorKind::data, fmt::format("'{}' has the class '{}', which {} lacks{}", folder.string(),
                                               printable(name), lacking, index.advice(name)));
    places.emplace_back(*place, name);
  }
  std::ranges::sort(places);  // images in class order
  for (const auto& [label, name] : places) {
    for (std::string& image : image_names(folder, name, not_images)) {
      files.names.push_back(std::move(image));
      files.labels.push_back(label);
    }
  }
  if (files.names.empty())
    throw Error(ErrorKind::data, fmt::format("'{}' has no class folder; add some or remove it", folder.string()));
  return files;
}

/// The folders of the parts, and other entries. Without `train` and `test` the folder itself is the training part.
struct Parts {
  std::string train, test;
  std::vector<std::string> validation, others;

  bool divided() const { return !train.empty() || !test.empty(); }
};

/// A class may also be called "train": a part contains class folders, or there are only parts next to it.
Parts find_parts(const fs::path& folder) {
  const std::vector<std::string> names = list_folder(folder).folders;
  const bool only_parts =
      std::ranges::all_of(names, [](const std::string& name) { return part_of(name) != PartName::none; });
  Parts parts;
  for (const std::string& name : names) {
    const PartName part = part_of(name);
    const bool is_part = part != PartName::none && (only_parts || !list_folder(folder / name).folders.empty());
    if (!is_part)
      parts.others.push_back(name);
    else if (part == PartName::validation)
      parts.validation.push_back(name);
    else if (std::string& known = part == PartName::train ? parts.train : parts.test; known.empty())
      known = name;
    else
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has both '{}' and '{}', expected one {} part; merge them", folder.string(), known,
                              name, part == PartName::train ? "training" : "test"));
  }
  return parts;
}

/// Returns a line about folders that contain images and are not used.
std::vector<std::string> unused_lines(const fs::path& folder, const Parts& parts) {
  std::vector<std::string> lines;
  for (const std::string& name : parts.validation)
    lines.push_back(fmt::format(
        "'{}' is not used: the validation part is held out of the training part ({}); {}", (folder / name).string(),
        option_name("validation", "N"),
        parts.test.empty() ? "to test on it, call it 'test'" : "to use its images, move them to the training part"));
  for (const std::string& name : parts.others)
    lines.push_back(fmt::format("'{}' is not used: it lies beside '{}', and is no part of the data by its name",
                                (folder / name).string(), parts.train.empty() ? parts.test : parts.train));
  return lines;
}

}  // namespace

std::vector<fs::path> first_of_folder(const fs::path& folder, const OpenOptions& options, std::size_t most) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return {};
  const Parts parts = find_parts(folder);
  if (parts.divided() && parts.train.empty()) return {};
  KindCounts ignored_files;
  const ImageFiles train =
      list_part(parts.divided() ? folder / parts.train : folder, options.classes, "the run", ignored_files);
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < std::min(most, train.size()); ++i) files.push_back(train.path(i));
  return files;
}

OpenedData open_folder(const fs::path& folder, const OpenOptions& options) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(ErrorKind::data,
                fmt::format("'{}' is not a folder; folder:DIR needs a folder with a folder of images per class",
                            folder.string()));
  const Parts parts = find_parts(folder);
  if (parts.divided() && parts.train.empty())
    throw Error(ErrorKind::data,
                fmt::format("'{}' has a test folder but no train folder beside it; add one", folder.string()));

  KindCounts not_images;
  const ImageFiles train =
      list_part(parts.divided() ? folder / parts.train : folder, options.classes, "the run", not_images);
  ImageFiles test;
  if (!parts.test.empty()) test = list_part(folder / parts.test, train.class_names, "the training part", not_images);
  OpenedData data = open_images(train, test, options);
  if (parts.divided()) {
    const std::vector<std::string> unused = unused_lines(folder, parts);
    data.notes.insert(data.notes.end(), unused.begin(), unused.end());
  }
  if (!not_images.empty()) data.notes.push_back(not_images_line(not_images));
  return data;
}

}  // namespace ulmus::detail
