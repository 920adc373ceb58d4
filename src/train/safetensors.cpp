#include "train/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"

namespace ulmus::detail {
namespace {

constexpr std::size_t k_longest_header = 100'000'000;  // the limit of the specification

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
  const auto refuse = [&](const std::string& why) {
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' is not a safetensors file we can read: {}; restore it or train again", path.string(), why));
  };
  if (bytes.size() < 8) refuse(fmt::format("it has {} bytes, expected at least 8", bytes.size()));
  std::size_t header_size = 0;
  for (std::size_t i = 0; i < 8; ++i)
    header_size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (header_size > k_longest_header || header_size > bytes.size() - 8)
    refuse(fmt::format("its header says {} bytes, the file has {}", header_size, bytes.size()));
  const Json header =
      Json::parse(bytes.begin() + 8, bytes.begin() + 8 + static_cast<std::ptrdiff_t>(header_size), nullptr, false);
  if (!header.is_object()) refuse("its header is not a JSON object");
  const std::size_t data_size = bytes.size() - 8 - header_size;
  const char* data = bytes.data() + 8 + header_size;

  TensorFile file;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  try {
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        file.metadata = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      const auto stored = std::find_if(std::begin(k_types), std::end(k_types),
                                       [&](const StoredType& known) { return entry.at("dtype") == known.name; });
      if (stored == std::end(k_types)) refuse(fmt::format("tensor '{}' has dtype {}", name, entry.at("dtype").dump()));
      const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
      if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size)
        refuse(fmt::format("tensor '{}' lies outside the file", name));
      std::uint64_t elements = 1;
      for (const std::int64_t side : shape) {
        if (side < 0 || (side > 0 && elements > data_size / static_cast<std::uint64_t>(side)))
          refuse(fmt::format("tensor '{}' has an impossible shape", name));
        elements *= static_cast<std::uint64_t>(side);
      }
      const std::size_t size = offsets[1] - offsets[0];
      if (elements * c10::elementSize(stored->type) != size)
        refuse(fmt::format("tensor '{}' does not have the bytes of its shape", name));
      auto tensor = torch::empty(shape, stored->type);
      if (size > 0) std::memcpy(tensor.data_ptr(), data + offsets[0], size);
      file.tensors.emplace(name, std::move(tensor));
      ranges.emplace_back(offsets[0], offsets[1]);
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t end = 0;
  for (const auto& [first, last] : ranges) {
    if (first != end) refuse("its tensors overlap or leave a hole");
    end = last;
  }
  if (end != data_size) refuse(fmt::format("its tensors cover {} of {} bytes of data", end, data_size));
  return file;
}

}  // namespace ulmus::detail
