#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "data/images.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
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

/// The classes are the subfolders, or the given ones (for a test part).
ImageFiles list_part(const fs::path& folder, std::span<const std::string> known_classes) {
  ImageFiles files;
  files.root = folder;
  files.class_names = {known_classes.begin(), known_classes.end()};
  const std::vector<std::string> names = subfolders(folder);
  if (known_classes.empty()) {
    if (names.size() < 2)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has {}, expected a folder of images for each of at least two classes",
                              folder.string(), names.empty() ? "no subfolder" : "one class, '" + names[0] + "'"));
    files.class_names = names;
  }
  std::unordered_map<std::string_view, std::int64_t> places;
  for (const auto& name : files.class_names) places.emplace(name, std::ssize(places));
  for (const auto& name : names) {
    const auto place = places.find(name);
    if (place == places.end())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has the class '{}', which the training part lacks; remove the folder or add the "
                              "class to train",
                              folder.string(), name));
    if (valid_utf8(name) != name.size())
      throw Error(ErrorKind::data,
                  fmt::format("class folder '{}' in '{}' is not named in UTF-8; rename it", name, folder.string()));
    const std::vector<std::string> images = image_names(folder / name);
    if (images.empty())
      throw Error(ErrorKind::data, fmt::format("class folder '{}' has no image; add some or remove the folder",
                                               (folder / name).string()));
    for (const auto& image : images) {
      files.names.push_back(name + "/" + image);
      files.labels.push_back(place->second);
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

  const ImageFiles train = list_part(train_folder, {});
  ImageFiles test;
  if (divided && fs::is_directory(folder / "test", ignored)) test = list_part(folder / "test", train.class_names);
  return open_images(train, test, options);
}

}  // namespace ulmus::detail
