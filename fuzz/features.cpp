#include "fuzz.hpp"
#include "train/feature_cache.hpp"

using namespace ulmus;

/// The file of features that `tune` keeps, of 3 and 2 samples, 2 features and 4 classes.
ULMUS_FUZZER(data, size) {
  static const fuzz::MemoryFile memory;
  memory.write(fuzz::text_of(data, size));
  fuzz::allow_errors([&] {
    const detail::SafetensorsFile file(memory.path());
    const auto parts = detail::find_cached(file, "o", {{"train", 3}, {"validation", 2}}, 2, 4);
    if (!parts) return;
    for (const auto& [name, part] : *parts) {
      const std::size_t rows = name == "train" ? 3 : 2;
      fuzz::require(part.labels.size() == rows && part.features.size == rows * 2 * sizeof(float),
                    "a part has its samples");
      std::string bytes(part.features.size, '\0');
      file.read(part.features, bytes.data());
      for (const std::int64_t label : part.labels) fuzz::require(label >= 0 && label < 4, "a label is a class");
    }
  });
  return 0;
}
