#include "train/feature_cache.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ulmus/base/error.hpp"

namespace ulmus::detail {

void refuse_cached(const std::filesystem::path& path, const std::string& part, std::int64_t rows) {
  throw Error(ErrorKind::data, fmt::format("'{}' does not hold the features of the {} samples of part {}; remove the "
                                           "file, and they are computed again",
                                           path.string(), rows, part));
}

std::optional<std::map<std::string, CachedPart>> find_cached(const SafetensorsFile& file, const std::string& origin,
                                                             const std::map<std::string, std::int64_t>& parts,
                                                             std::int64_t width, std::int64_t classes) {
  const auto of = file.header().metadata.find(k_cache_origin);
  if (of == file.header().metadata.end() || of->second != origin) return std::nullopt;
  std::map<std::string, CachedPart> found;
  for (const auto& [part, rows] : parts) {
    const StoredTensor* features = file.find(part);
    const StoredTensor* labels = file.find(part + ".labels");
    if (!features || features->type.id != StoredType::Id::f32 || features->shape != std::vector{rows, width} ||
        !labels || labels->type.id != StoredType::Id::i64 || labels->shape != std::vector{rows})
      refuse_cached(file.path(), part, rows);
    CachedPart& cached = found[part] = {.features = *features, .labels = {}};
    cached.labels.resize(static_cast<std::size_t>(rows));
    file.read(*labels, cached.labels.data());
    if (!std::ranges::all_of(cached.labels, [&](std::int64_t label) { return label >= 0 && label < classes; }))
      refuse_cached(file.path(), part, rows);
  }
  return found;
}

}  // namespace ulmus::detail
