#include "data/formats.hpp"
#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  for (const std::int64_t classes : {10, 100})
    fuzz::allow_errors([&] {
      const auto labels = detail::read_cifar_labels(fuzz::text_of(data, size), "batch.bin", classes);
      fuzz::require(labels.size() * static_cast<std::size_t>(detail::cifar_record(classes)) == size,
                    "the records are the whole file");
      for (const std::int64_t label : labels) fuzz::require(label >= 0 && label < classes, "labels are classes");
    });
  return 0;
}
