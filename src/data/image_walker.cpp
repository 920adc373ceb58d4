#include "data/image_walker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>

#include "data/decode.hpp"
#include "ulmus/base/ascii.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

template <std::size_t N>
bool is_among(const std::string& text, const std::array<std::string_view, N>& list) {
  return std::ranges::find(list, text) != list.end();
}

constexpr std::array<std::string_view, 15> k_image_endings{".jpg", ".jpeg", ".jpe", ".jfif", ".jif",
                                                           ".png", ".apng", ".bmp", ".dib",  ".webp",
                                                           ".tif", ".tiff", ".pgm", ".ppm",  ".pbm"};
/// Camera raw files, which look like TIFF but contain a small preview as their image.
constexpr std::array<std::string_view, 11> k_raw_endings{".3fr", ".arw", ".cr2", ".dcr", ".dng", ".iiq",
                                                         ".kdc", ".nef", ".nrw", ".pef", ".srw"};

}  // namespace

bool is_clutter(const fs::path& path) {
  constexpr std::array<std::string_view, 4> k_names{"__macosx", "@eadir", "desktop.ini", "thumbs.db"};
  const std::string name = path.filename().string();
  return name.starts_with('.') || is_among(ascii_lower(name), k_names);
}

bool has_image_ending(const fs::path& path) {
  return is_among(ascii_lower(path.extension().string()), k_image_endings);
}

std::string kind_of_no_image(const fs::path& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (status.type() == fs::file_type::not_found) return "broken link";
  if (!fs::is_regular_file(status)) return "no regular file";
  const std::string ending = ascii_lower(path.extension().string());
  if (has_image_ending(path)) return "";
  if (is_among(ending, k_raw_endings)) return ending;
  std::ifstream file(path, std::ios::binary);
  std::string head(k_format_bytes, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  if (format_of(head) != ImageFormat::none) return "";
  return ending.empty() || ending == "." ? "no image" : ending;
}

ImageWalker::ImageWalker(std::vector<fs::path> paths, const fs::path& inside) {
  if (!inside.empty()) {
    std::error_code ignored;
    levels_.push_back({.folder = fs::canonical(inside, ignored), .waiting = {}});
  }
  std::ranges::reverse(paths);
  levels_.push_back({.folder = {}, .waiting = std::move(paths)});
  given_ = levels_.size();
}

fs::path ImageWalker::next() {
  while (!levels_.empty()) {
    std::vector<fs::path>& waiting = levels_.back().waiting;
    if (waiting.empty()) {
      levels_.pop_back();
      continue;
    }
    const fs::path path = std::move(waiting.back());
    waiting.pop_back();
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      open(path);
      continue;
    }
    if (levels_.size() <= given_) return path;
    const std::string kind = kind_of_no_image(path);
    if (kind.empty()) return path;
    not_images_.add(kind);
  }
  return {};
}

void ImageWalker::open(const fs::path& folder) {
  std::error_code code;
  Level level{.folder = fs::canonical(folder, code), .waiting = {}};
  if (std::ranges::find(levels_, level.folder, &Level::folder) != levels_.end())
    return not_images_.add("link to a folder around it");
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (!is_clutter(it->path())) level.waiting.push_back(it->path());
  if (code)
    throw Error(ErrorKind::data, fmt::format("cannot list the folder '{}': {}", folder.string(), code.message()));
  std::ranges::sort(level.waiting, std::greater{}, &fs::path::native);
  levels_.push_back(std::move(level));
}

}  // namespace ulmus::detail
