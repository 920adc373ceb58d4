#include "data/formats.hpp"
#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  const std::string_view bytes = fuzz::text_of(data, size);
  fuzz::allow_errors([&] {
    const detail::NpyHeader header = detail::read_npy_header(bytes, size, "x.npy", detail::NpyKind::features);
    const std::string rows = detail::npy_by_rows(header, bytes.substr(header.begin));
    std::vector<float> row(static_cast<std::size_t>(header.columns()));
    for (std::int64_t r = 0; r < header.rows(); ++r) {
      const std::string_view of_row =
          std::string_view(rows).substr(static_cast<std::size_t>(r) * header.row_bytes(), header.row_bytes());
      detail::check_npy_row(header, of_row, r);
      detail::decode_npy_row(header, of_row, row);
    }
  });
  fuzz::allow_errors([&] {
    const detail::LabelTexts labels = detail::read_npy_labels(bytes, "y.npy");
    fuzz::require(labels.size() > 0, "there is a label");
    detail::classes_of(
        labels,
        {.file = "y.npy", .place = [](std::size_t i) { return fmt::format("sample {}", i); }, .may_be_quantity = true});
  });
  return 0;
}
