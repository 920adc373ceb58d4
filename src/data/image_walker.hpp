#pragma once

#include <filesystem>
#include <vector>

#include "ulmus/data/kind_counts.hpp"

namespace ulmus::detail {

/// Whether the system or a program has left it there, as hidden files and `Thumbs.db`: nobody misses it.
bool is_clutter(const std::filesystem::path& path);

/// Goes through paths and the folders among them, depth first, entries in the byte order of their names. A path that
/// was given is returned whatever it is, unless it is a folder. In folders an image is a regular file with the ending
/// of one that we read or, whatever its ending, with such content; others are counted. Links are followed, but not
/// back into a folder that is being read.
class ImageWalker {
 public:
  /// `inside`: a folder that is being read.
  explicit ImageWalker(std::vector<std::filesystem::path> paths, const std::filesystem::path& inside = {});

  /// The next file; an empty path at the end. Throws Error{data} for a folder that cannot be listed, and can go on.
  std::filesystem::path next();
  /// What was met and is no image: the ending of its name in lower case, or in words.
  const KindCounts& passed_over() const { return passed_over_; }

 private:
  struct Level {
    std::filesystem::path folder;                ///< canonical
    std::vector<std::filesystem::path> waiting;  ///< the next one last
  };
  void open(const std::filesystem::path& folder);

  std::vector<Level> levels_;
  std::size_t given_;  ///< the levels up to this one hold what was given
  KindCounts passed_over_;
};

/// Whether the name ends like that of an image we read, in any case.
bool has_image_ending(const std::filesystem::path& path);

/// What an entry of a folder counts as when it is no image; "" for an image.
std::string kind_of_no_image(const std::filesystem::path& path);

}  // namespace ulmus::detail
