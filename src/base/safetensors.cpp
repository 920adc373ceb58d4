#include "ulmus/base/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

constexpr std::size_t k_length_bytes = 8;

[[noreturn]] void throw_data_error(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::data, fmt::format("'{}' is not a safetensors file we can read: {}; restore it or train again",
                                           path.string(), why));
}

/// Reads the length of the header from the first bytes of a file.
std::size_t header_length(std::string_view bytes, std::uintmax_t file_size, const std::filesystem::path& path) {
  if (file_size < k_length_bytes || bytes.size() < k_length_bytes)
    throw_data_error(
        path, fmt::format("it has {} bytes, expected at least 8", std::min<std::uintmax_t>(bytes.size(), file_size)));
  std::size_t length = 0;
  for (std::size_t i = 0; i < k_length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (length > file_size - k_length_bytes)
    throw_data_error(path, fmt::format("its header says {} bytes, the file has {}", length, file_size));
  if (length > k_longest_header)
    throw_data_error(path, fmt::format("its header has {} bytes, at most {} are read", length, k_longest_header));
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  std::string bytes(k_length_bytes, '\0');
  bytes.resize(file_.read(0, bytes));
  const std::size_t length = header_length(bytes, file_.size(), path);
  bytes.resize(k_length_bytes + length);
  bytes.resize(k_length_bytes + file_.read(k_length_bytes, std::span(bytes).subspan(k_length_bytes)));
  header_ = read_safetensors_header(bytes, file_.size(), path);
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::ranges::find(header_.tensors, name, &StoredTensor::name);
  return found == header_.tensors.end() ? nullptr : &*found;
}

void SafetensorsFile::read(const StoredTensor& tensor, void* out) const {
  if (file_.read(tensor.begin, {static_cast<char*>(out), tensor.size}) != tensor.size)
    throw_data_error(path(), "it became shorter while it was read");
}

SafetensorsHeader read_safetensors_header(std::string_view bytes, std::uintmax_t file_size,
                                          const std::filesystem::path& path) {
  const std::size_t length = header_length(bytes, file_size, path);
  const std::size_t data = k_length_bytes + length, data_size = static_cast<std::size_t>(file_size) - data;
  if (bytes.size() < data) throw_data_error(path, "it became shorter while it was read");

  SafetensorsHeader header;
  try {
    const Json json = parse_json(bytes.substr(k_length_bytes, length), k_longest_header);
    if (!json.is_object()) throw_data_error(path, "its header is not a JSON object");
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
        throw_data_error(path, fmt::format("tensor '{}' has dtype {}", name, printable(entry.at("dtype").dump())));
      auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::vector<std::size_t>>();
      if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size)
        throw_data_error(path, fmt::format("tensor '{}' lies outside the file", name));
      constexpr std::size_t k_most_sides = 16;
      if (shape.size() > k_most_sides)
        throw_data_error(path, fmt::format("tensor '{}' has {} sides", name, shape.size()));
      std::size_t elements = 1;
      for (const std::int64_t side : shape) {
        if (side < 0 || (side > 0 && elements > data_size / static_cast<std::size_t>(side)))
          throw_data_error(path, fmt::format("tensor '{}' has an impossible shape", name));
        elements *= static_cast<std::size_t>(side);
      }
      const std::size_t size = offsets[1] - offsets[0];
      if (elements * type->bytes != size)
        throw_data_error(path, fmt::format("tensor '{}' does not have the bytes of its shape", name));
      header.tensors.push_back({key, *type, std::move(shape), data + offsets[0], size});
    }
  } catch (const Json::exception& error) {
    throw_data_error(path, printable(error.what(), k_long_text));
  }

  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const StoredTensor& tensor : header.tensors) ranges.emplace_back(tensor.begin, tensor.size);
  std::sort(ranges.begin(), ranges.end());
  std::size_t end = data;
  for (const auto& [begin, size] : ranges) {
    if (begin != end) throw_data_error(path, "its tensors overlap or leave a hole");
    end += size;
  }
  if (end != file_size)
    throw_data_error(path, fmt::format("its tensors cover {} of {} bytes of data", end - data, data_size));
  return header;
}

}  // namespace ulmus::detail
