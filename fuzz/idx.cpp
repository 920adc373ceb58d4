#include "data/formats.hpp"
#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  for (const detail::IdxKind kind : {detail::IdxKind::images, detail::IdxKind::labels}) {
    std::string_view left = fuzz::text_of(data, size);
    const auto source = [&](std::string& content, std::size_t count) {
      content += left.substr(0, count);
      left.remove_prefix(std::min(count, left.size()));
    };
    fuzz::allow_errors([&] {
      const detail::IdxFile file = detail::read_idx(source, "images.idx", kind);
      std::size_t values = 1;
      for (const std::int64_t length : file.sizes) values *= static_cast<std::size_t>(length);
      fuzz::require(file.data().size() == values && left.empty(), "the values are the rest of the file");
    });
  }
  return 0;
}
