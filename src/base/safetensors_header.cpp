#include "base/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

constexpr std::size_t k_length_bytes = 8;
constexpr std::size_t k_longest_header = 100'000'000;  // the limit of the specification

}  // namespace

SafetensorsHeader read_safetensors_header(std::string_view bytes, const std::filesystem::path& path) {
  const auto refuse = [&](const std::string& why) {
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' is not a safetensors file we can read: {}; restore it or train again", path.string(), why));
  };
  if (bytes.size() < k_length_bytes) refuse(fmt::format("it has {} bytes, expected at least 8", bytes.size()));
  std::size_t length = 0;
  for (std::size_t i = 0; i < k_length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (length > k_longest_header || length > bytes.size() - k_length_bytes)
    refuse(fmt::format("its header says {} bytes, the file has {}", length, bytes.size()));
  const Json json = Json::parse(bytes.substr(k_length_bytes, length), nullptr, false);
  if (!json.is_object()) refuse("its header is not a JSON object");
  const std::size_t data = k_length_bytes + length, data_size = bytes.size() - data;

  SafetensorsHeader header;
  try {
    for (const auto& item : json.items()) {
      const std::string& key = item.key();
      const Json& entry = item.value();
      if (key == "__metadata__") {
        entry.get_to(header.metadata);
        continue;
      }
      const std::string name = printable(key);
      const auto type = std::ranges::find_if(k_stored_types,
                                             [&](const StoredType& known) { return entry.at("dtype") == known.name; });
      if (type == k_stored_types.end())
        refuse(fmt::format("tensor '{}' has dtype {}", name, printable(entry.at("dtype").dump())));
      auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::vector<std::size_t>>();
      if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size)
        refuse(fmt::format("tensor '{}' lies outside the file", name));
      std::size_t elements = 1;
      for (const std::int64_t side : shape) {
        if (side < 0 || (side > 0 && elements > data_size / static_cast<std::size_t>(side)))
          refuse(fmt::format("tensor '{}' has an impossible shape", name));
        elements *= static_cast<std::size_t>(side);
      }
      const std::size_t size = offsets[1] - offsets[0];
      if (elements * type->bytes != size) refuse(fmt::format("tensor '{}' does not have the bytes of its shape", name));
      header.tensors.push_back({key, *type, std::move(shape), data + offsets[0], size});
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  }

  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const StoredTensor& tensor : header.tensors) ranges.emplace_back(tensor.begin, tensor.size);
  std::sort(ranges.begin(), ranges.end());
  std::size_t end = data;
  for (const auto& [begin, size] : ranges) {
    if (begin != end) refuse("its tensors overlap or leave a hole");
    end += size;
  }
  if (end != bytes.size()) refuse(fmt::format("its tensors cover {} of {} bytes of data", end - data, data_size));
  return header;
}

}  // namespace ulmus::detail
