#include "train/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/safetensors_header.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"

namespace ulmus::detail {
namespace {

struct StoredType {
  const char* name;
  torch::ScalarType type;
};
constexpr StoredType k_types[] = {{"F32", torch::kFloat},
                                  {"F64", torch::kDouble},
                                  {"F16", torch::kHalf},
                                  {"BF16", torch::kBFloat16},
                                  {"I64", torch::kInt64}};

}  // namespace

std::string encode_safetensors(const TensorFile& file) {
  Json header = Json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : file.tensors) {
    const auto stored = std::find_if(std::begin(k_types), std::end(k_types),
                                     [&](const StoredType& known) { return known.type == tensor.scalar_type(); });
    TORCH_CHECK(stored != std::end(k_types), "no safetensors dtype for tensor ", name);
    header[name] = {
        {"dtype", stored->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the data begin aligned
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  bytes += text;
  for (const auto& [name, tensor] : file.tensors)
    bytes.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
  return bytes;
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  SafetensorsHeader header = read_safetensors_header(bytes, path);
  TensorFile file{.tensors = {}, .metadata = std::move(header.metadata)};
  for (const StoredTensor& stored : header.tensors) {
    const auto type = std::find_if(std::begin(k_types), std::end(k_types),
                                   [&](const StoredType& known) { return known.name == stored.dtype; });
    TORCH_CHECK(type != std::end(k_types), "no type for safetensors dtype ", stored.dtype);
    auto tensor = torch::empty(stored.shape, type->type);
    if (stored.size > 0) std::memcpy(tensor.data_ptr(), bytes.data() + stored.begin, stored.size);
    file.tensors.emplace(stored.name, std::move(tensor));
  }
  return file;
}

}  // namespace ulmus::detail
