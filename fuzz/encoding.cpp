#include "fuzz.hpp"
#include "ulmus/data/table.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  fuzz::allow_errors([&] {
    const TableEncoding encoding = encoding_from_json(fuzz::text_of(data, size));
    fuzz::require(encoding_from_json(to_json(encoding)) == encoding, "an encoding is read back the same");
    fuzz::require(encoding.features() > 0, "an encoding has features");
  });
  return 0;
}
