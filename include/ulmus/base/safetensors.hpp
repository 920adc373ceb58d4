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

/// A dtype of the format: its name in the file and its element size in bytes.
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
  std::size_t begin, size;  ///< position in the file, in bytes
};

/// The header of a safetensors file (specification 0.x of huggingface/safetensors): 8-byte little-endian header length,
/// JSON header, data.
struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Maximum length of a header in bytes, enough for a million tensors or as many class names. The specification allows
/// 100 MB, which would take gigabytes of memory as JSON.
inline constexpr std::size_t k_longest_header = std::size_t{1} << 25;

/// Parses the header of the file `path` from `bytes`, the beginning of the file, and the file's size. Validates every
/// length and offset: the size of a tensor matches its shape, and the tensors cover the data without gaps or overlaps.
/// Throws Error{data} naming the file and the fault.
SafetensorsHeader read_safetensors_header(std::string_view bytes, std::uintmax_t file_size,
                                          const std::filesystem::path& path);

/// An open safetensors file. The constructor reads the header; tensor data are read on request. All reads see the same
/// file, even if a training run replaces it meanwhile.
class SafetensorsFile {
 public:
  /// Throws Error{data} as read_safetensors_header() does, and any error of read_file().
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const SafetensorsHeader& header() const { return header_; }
  /// Returns the tensor with this name, or null.
  const StoredTensor* find(std::string_view name) const;
  /// Reads the data of one of the header's tensors into `out`, which must hold `tensor.size` bytes.
  void read(const StoredTensor& tensor, void* out) const;
  /// Lets the operating system fetch the bytes [begin, begin + size) of the file in the background.
  void will_read(std::size_t begin, std::size_t size) const { file_.will_read(begin, size); }

 private:
  InputFile file_;
  SafetensorsHeader header_;
};

}  // namespace ulmus::detail
