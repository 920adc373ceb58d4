#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "data/images.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

std::vector<fs::directory_entry> entries(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::directory_entry> found;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (!it->path().filename().string().starts_with('.')) found.push_back(*it);
  if (code)
    throw Error(ErrorKind::data, fmt::format("cannot list the folder '{}': {}", folder.string(), code.message()));
  return found;
}

std::vector<std::string> subfolders(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : entries(folder))
    if (entry.is_directory(ignored)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> image_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : entries(folder))
    if (has_image_extension(entry.path()) && !entry.is_directory(ignored))
      names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

/// The classes are the subfolders, or the given ones (of the training part, or of a run), which `lacking` has.
ImageFiles list_part(const fs::path& folder, std::span<const std::string> known_classes, std::string_view lacking) {
  ImageFiles files;
  files.root = folder;
  files.class_names = {known_classes.begin(), known_classes.end()};
  const std::vector<std::string> names = subfolders(folder);
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
    // A folder that is called `NA` or `-1` was made so.
    files.class_names =
        classes_of(texts, {.literal = texts.different, .twins_are_literal = false, .file = folder, .place = place})
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
  std::ranges::sort(places);  // images in the order of the classes
  std::ranges::sort(places);  // images in the order of the classes
  for (const auto& [label, name] : places) {
    const std::vector<std::string> images = image_names(folder / name);
    if (images.empty())
      throw Error(ErrorKind::data, fmt::format("class folder '{}' has no image; add some or remove the folder",
                                               (folder / name).string()));
    for (const auto& image : images) {
      files.names.push_back(name + "/" + image);
      files.labels.push_back(label);
    }
  }
  if (files.names.empty())
    throw Error(ErrorKind::data, fmt::format("'{}' has no class folder; add some or remove it", folder.string()));
  return files;
}

/// Whether the folder is divided into `train` and `test`, rather than being a training part one of whose classes has
/// such a name.
bool is_divided(const fs::path& folder) {
  const std::vector<std::string> names = subfolders(folder);
  const auto is_part = [](const std::string& name) { return name == "train" || name == "val" || name == "test"; };
  const bool only_parts = std::ranges::all_of(names, is_part);
  return std::ranges::any_of(names, [&](const std::string& name) {
    return (name == "train" || name == "test") && (only_parts || !subfolders(folder / name).empty());
  });
}

}  // namespace

OpenedData open_folder(const fs::path& folder, const OpenOptions& options) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(ErrorKind::data,
                fmt::format("'{}' is not a folder; folder:DIR needs a folder with a folder of images per class",
                            folder.string()));
  const bool divided = is_divided(folder);
  const fs::path train_folder = divided ? folder / "train" : folder;
  if (!fs::is_directory(train_folder, ignored))
    throw Error(ErrorKind::data,
                fmt::format("'{}' has a test folder but no train folder beside it; add one", folder.string()));
  if (divided && fs::is_directory(folder / "val", ignored))
    announce_once("folder-val",
                  fmt::format("'{}' is not used: the validation part is held out of train", (folder / "val").string()));

  const ImageFiles train = list_part(train_folder, options.classes, "the run");
  ImageFiles test;
  if (divided && fs::is_directory(folder / "test", ignored))
    test = list_part(folder / "test", train.class_names, "the training part");
  return open_images(train, test, options);
}

}  // namespace ulmus::detail
