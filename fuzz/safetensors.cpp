#include "ulmus/base/safetensors.hpp"

#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  fuzz::allow_errors([&] {
    std::size_t covered = 0;
    for (const detail::StoredTensor& tensor :
         detail::read_safetensors_header(fuzz::text_of(data, size), size, "w").tensors) {
      fuzz::require(tensor.size <= size && tensor.begin <= size - tensor.size, "a tensor lies in the file");
      covered += tensor.size;
    }
    fuzz::require(covered <= size, "tensors do not overlap");
  });
  return 0;
}
