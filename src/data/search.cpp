#include <fmt/format.h>

#include <cstdlib>

#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {

namespace fs = std::filesystem;

std::vector<fs::path> search_paths(std::span<const std::string> names, const fs::path& data_root) {
  std::vector<fs::path> places;
  const auto look_below = [&](const fs::path& root) {
    for (const std::string& name : names) places.push_back(root / name);
  };
  if (!data_root.empty()) {
    std::error_code ignored;
    if (!fs::is_directory(data_root, ignored))
      throw Error(ErrorKind::data,
                  fmt::format("{} '{}' is not a folder", option_name("data_root"), data_root.string()));
    look_below(data_root);
    places.push_back(data_root);
  }
  if (const char* root = std::getenv("ULMUS_DATA"); root != nullptr && *root != '\0') {
    look_below(root);
    places.emplace_back(root);
  }
  look_below("/usr/share/datasets");
  return places;
}

void throw_not_found(std::string_view name, std::span<const fs::path> places, std::string_view advice) {
  std::vector<std::string> looked;
  for (const auto& place : places) looked.push_back(fmt::format("'{}'", place.string()));
  throw Error(ErrorKind::data, fmt::format("{} is not found in {}; {}", name, join(looked, ", "), advice));
}

}  // namespace ulmus::detail
