#include "ulmus/base/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

constexpr std::size_t k_length_bytes = 8;

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::data, fmt::format("'{}' is not a safetensors file we can read: {}; restore it or train again",
                                           path.string(), why));
}

/// Of the header, from the first bytes of a file.
std::size_t header_length(std::string_view bytes, std::uintmax_t file_size, const std::filesystem::path& path) {
  if (file_size < k_length_bytes || bytes.size() < k_length_bytes)
    refuse(path,
           fmt::format("it has {} bytes, expected at least 8", std::min<std::uintmax_t>(bytes.size(), file_size)));
  std::size_t length = 0;
  for (std::size_t i = 0; i < k_length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (length > file_size - k_length_bytes)
    refuse(path, fmt::format("its header says {} bytes, the file has {}", length, file_size));
  if (length > k_longest_header)
    refuse(path, fmt::format("its header has {} bytes, at most {} are read", length, k_longest_header));
  return length;
}

/// A regular file at its beginning, with its size.
std::pair<std::ifstream, std::uintmax_t> open_file(const std::filesystem::path& path) {
  std::error_code code;
  const bool regular = std::filesystem::is_regular_file(path, code);
  const std::uintmax_t size = regular ? std::filesystem::file_size(path, code) : 0;
  std::ifstream file;
  if (regular && !code) file.open(path, std::ios::binary);
  if (!file.is_open())
    throw Error(ErrorKind::data, fmt::format("cannot read '{}': {}", path.string(),
                                             code       ? code.message()
                                             : !regular ? "it is no regular file"
                                                        : std::strerror(errno)));
  return {std::move(file), size};
}

std::string read_bytes(std::ifstream& file, std::size_t count) {
  std::string bytes(count, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

}  // namespace

SafetensorsHeader read_safetensors_header(const std::filesystem::path& path) {
  auto [file, size] = open_file(path);
  std::string bytes = read_bytes(file, k_length_bytes);
  bytes += read_bytes(file, header_length(bytes, size, path));
  return read_safetensors_header(bytes, size, path);
}

std::string read_stored_bytes(const std::filesystem::path& path, const StoredTensor& tensor) {
  auto [file, size] = open_file(path);
  file.seekg(static_cast<std::streamoff>(tensor.begin));
  std::string bytes = read_bytes(file, tensor.size);
  if (bytes.size() != tensor.size) refuse(path, "it became shorter while it was read");
  return bytes;
}

SafetensorsHeader read_safetensors_header(std::string_view bytes, std::uintmax_t file_size,
                                          const std::filesystem::path& path) {
  const std::size_t length = header_length(bytes, file_size, path);
  const std::size_t data = k_length_bytes + length, data_size = static_cast<std::size_t>(file_size) - data;
  if (bytes.size() < data) refuse(path, "it became shorter while it was read");

  SafetensorsHeader header;
  try {
    const Json json = parse_json(bytes.substr(k_length_bytes, length), k_longest_header);
    if (!json.is_object()) refuse(path, "its header is not a JSON object");
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
        refuse(path, fmt::format("tensor '{}' has dtype {}", name, printable(entry.at("dtype").dump())));
      auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::vector<std::size_t>>();
      if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size)
        refuse(path, fmt::format("tensor '{}' lies outside the file", name));
      constexpr std::size_t k_most_sides = 16;
      if (shape.size() > k_most_sides) refuse(path, fmt::format("tensor '{}' has {} sides", name, shape.size()));
      std::size_t elements = 1;
      for (const std::int64_t side : shape) {
        if (side < 0 || (side > 0 && elements > data_size / static_cast<std::size_t>(side)))
          refuse(path, fmt::format("tensor '{}' has an impossible shape", name));
        elements *= static_cast<std::size_t>(side);
      }
      const std::size_t size = offsets[1] - offsets[0];
      if (elements * type->bytes != size)
        refuse(path, fmt::format("tensor '{}' does not have the bytes of its shape", name));
      header.tensors.push_back({key, *type, std::move(shape), data + offsets[0], size});
    }
  } catch (const Json::exception& error) {
    refuse(path, printable(error.what(), k_long_text));
  }

  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const StoredTensor& tensor : header.tensors) ranges.emplace_back(tensor.begin, tensor.size);
  std::sort(ranges.begin(), ranges.end());
  std::size_t end = data;
  for (const auto& [begin, size] : ranges) {
    if (begin != end) refuse(path, "its tensors overlap or leave a hole");
    end += size;
  }
  if (end != file_size) refuse(path, fmt::format("its tensors cover {} of {} bytes of data", end - data, data_size));
  return header;
}

}  // namespace ulmus::detail
