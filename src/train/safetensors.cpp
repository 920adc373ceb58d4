#include "train/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/safetensors.hpp"

namespace ulmus::detail {
namespace {

torch::ScalarType torch_type(const StoredType& type) {
  switch (type.id) {
    case StoredType::Id::f64:
      return torch::kDouble;
    case StoredType::Id::f32:
      return torch::kFloat;
    case StoredType::Id::f16:
      return torch::kHalf;
    case StoredType::Id::bf16:
      return torch::kBFloat16;
    case StoredType::Id::i64:
      return torch::kInt64;
    case StoredType::Id::u8:
      return torch::kUInt8;
  }
  TORCH_INTERNAL_ASSERT(false);
}

}  // namespace

std::string_view bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const char*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

std::string encode_safetensors(const TensorFile& file) {
  Json header = Json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : file.tensors) {
    const auto stored = std::ranges::find(k_stored_types, tensor.scalar_type(), torch_type);
    TORCH_CHECK(stored != k_stored_types.end(), "no safetensors dtype for tensor ", name);
    header[name] = {
        {"dtype", stored->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  if (text.size() > k_longest_header)
    throw Error(ErrorKind::data, fmt::format("a checkpoint of {} tensors would have a header of {} bytes, at most {} "
                                             "can be read; give the classes shorter names",
                                             file.tensors.size(), text.size(), k_longest_header));
  text.append((8 - text.size() % 8) % 8, ' ');  // aligns the beginning of the data
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  bytes += text;
  for (const auto& [name, tensor] : file.tensors) bytes += bytes_of(tensor);
  return bytes;
}

TensorFile read_tensors(const SafetensorsFile& file) {
  TensorFile read{.tensors = {}, .metadata = file.header().metadata};
  for (const StoredTensor& stored : file.header().tensors) {
    auto tensor = torch::empty(stored.shape, torch_type(stored.type));
    file.read(stored, tensor.data_ptr());
    read.tensors.emplace(stored.name, std::move(tensor));
  }
  return read;
}

}  // namespace ulmus::detail
