#include <cmath>

#include "fuzz.hpp"
#include "train/feature_file.hpp"

using namespace ulmus;

/// A file of features, 2 for each of at most 5 samples.
ULMUS_FUZZER(data, size) {
  static const fuzz::MemoryFile memory;
  memory.write(fuzz::text_of(data, size));
  fuzz::allow_errors([&] {
    const detail::FeatureFile file(memory.path(), "o", 2, 5);
    std::int64_t position = 0;
    for (const std::int64_t index : file.indices()) {
      fuzz::require(index >= 0 && index < 5, "an index is a sample");
      float features[2];
      file.read(position++, features);
      fuzz::require(std::isfinite(features[0]) && std::isfinite(features[1]), "features are numbers");
    }
  });
  return 0;
}
