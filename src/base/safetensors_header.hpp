#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus::detail {

struct StoredTensor {
  std::string name;
  std::string dtype;  ///< one of F64, F32, F16, BF16, I64
  std::vector<std::int64_t> shape;
  std::size_t begin, size;  ///< in the bytes of the file
};

/// What a safetensors file says before its data (specification 0.x of huggingface/safetensors): 8 bytes little-endian
/// header length, JSON header, data.
struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads the header of `bytes`, the whole of the file `path`. Every length and offset is checked: a tensor has the
/// bytes of its shape, and the tensors cover the data without a hole or an overlap. Throws Error{data} naming the file
/// and what is wrong.
SafetensorsHeader read_safetensors_header(std::string_view bytes, const std::filesystem::path& path);

}  // namespace ulmus::detail
