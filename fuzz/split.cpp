#include "ulmus/data/split.hpp"

#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  static const fuzz::MemoryFile file;
  file.write(fuzz::text_of(data, size));
  fuzz::allow_errors([&] {
    const Split split = read_split(file.path());
    fuzz::require(!to_json(split).empty(), "a manifest that was read can be written");
  });
  return 0;
}
