#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/base/input_file.hpp"

namespace ulmus::detail {

/// A dtype of the format: its name there and the bytes of an element.
struct StoredType {
  enum class Id { f64, f32, f16, bf16, i64, u8 } id;
  std::string_view name;
  std::size_t bytes;
};
inline constexpr std::array<StoredType, 6> k_stored_types{{{StoredType::Id::f64, "F64", 8},
                                                           {StoredType::Id::f32, "F32", 4},
                                                           {StoredType::Id::f16, "F16", 2},
                                                           {StoredType::Id::bf16, "BF16", 2},
                                                           {StoredType::Id::i64, "I64", 8},
                                                           {StoredType::Id::u8, "U8", 1}}};

struct StoredTensor {
  std::string name;
  StoredType type;
  std::vector<std::int64_t> shape;
  std::size_t begin, size;  ///< in the bytes of the file
};

/// The header of a safetensors file (specification 0.x of huggingface/safetensors): 8 bytes little-endian
/// header length, JSON header, data.
struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// The longest header that is read: that of a million tensors, or of as many class names, fits. The specification has
/// 100 MB, which as JSON would take gigabytes of memory.
inline constexpr std::size_t k_longest_header = std::size_t{1} << 25;

/// Reads the header of the file `path` from `bytes`, its beginning, and its size. Every length and offset is checked: a
/// tensor has the bytes of its shape, and the tensors cover the data without a hole or an overlap. Throws Error{data}
/// naming the file and what is wrong.
SafetensorsHeader read_safetensors_header(std::string_view bytes, std::uintmax_t file_size,
                                          const std::filesystem::path& path);

/// An open safetensors file. The constructor reads the header; the data of a tensor are read on request. All reads see
/// the same file, even if a training run replaces it meanwhile.
class SafetensorsFile {
 public:
  /// Throws Error{data} as read_safetensors_header() does, and what read_file() throws.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const SafetensorsHeader& header() const { return header_; }
  /// The tensor with this name; null if there is none.
  const StoredTensor* find(std::string_view name) const;
  /// Reads the data of one of the header's tensors to `out`, which has room for `tensor.size` bytes.
  void read(const StoredTensor& tensor, void* out) const;

 private:
  InputFile file_;
  SafetensorsHeader header_;
};

}  // namespace ulmus::detail
