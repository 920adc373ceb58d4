#pragma once

#include <filesystem>
#include <vector>

#include "ulmus/data/kind_counts.hpp"

namespace ulmus::detail {

/// Returns whether the file was created by the system or a program, like hidden files and `Thumbs.db`, and may be
/// ignored silently.
bool is_clutter(const std::filesystem::path& path);

/// Walks through paths and the folders among them, depth first, entries sorted by the bytes of their names. A given
/// path is returned whatever it is, unless it is a folder. In folders an image is a regular file with a supported
/// extension or, whatever its extension, with supported content; other files are counted. Links are followed, but not
/// back into a folder that is being read.
class ImageWalker {
 public:
  /// `inside`: a folder that is being read.
  explicit ImageWalker(std::vector<std::filesystem::path> paths, const std::filesystem::path& inside = {});

  /// The next file; an empty path at the end. Throws Error{data} for a folder that cannot be listed; the walk can then
  /// continue.
  std::filesystem::path next();
  /// Files that are not images, counted by lower-case extension or by description.
  const KindCounts& not_images() const { return not_images_; }

 private:
  struct Level {
    std::filesystem::path folder;                ///< canonical
    std::vector<std::filesystem::path> waiting;  ///< in reverse order
  };
  void open(const std::filesystem::path& folder);

  std::vector<Level> levels_;
  std::size_t given_;  ///< number of levels that contain given paths
  KindCounts not_images_;
};

/// Returns whether the name has the extension of a supported image format, in any case.
bool has_image_ending(const std::filesystem::path& path);

/// The kind under which an entry that is not an image is counted; "" for an image.
std::string kind_of_no_image(const std::filesystem::path& path);

}  // namespace ulmus::detail
