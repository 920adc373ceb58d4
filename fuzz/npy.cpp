#include "data/formats.hpp"
#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  fuzz::allow_errors([&] {
    const detail::NpyArray array = detail::read_npy_features(bytes, "x.npy");
    detail::check_npy_features(array);
    std::vector<float> row(static_cast<std::size_t>(array.columns));
    for (std::int64_t r = 0; r < array.rows; ++r) {
      detail::read_npy_row(array, r, row);
      for (const float value : row) fuzz::require(value - value == 0, "features that were checked are finite");
    }
  });
  fuzz::allow_errors([&] {
    for (const std::int64_t label : detail::read_npy_labels(bytes, "y.npy"))
      fuzz::require(label >= 0, "no label is negative");
  });
  return 0;
}
