#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <string_view>

#include "ulmus/base/safetensors.hpp"

namespace ulmus::detail {

/// Named tensors and text metadata, the content of a safetensors file.
struct TensorFile {
  std::map<std::string, torch::Tensor>
      tensors;  ///< contiguous, on the CPU: float, double, half, bfloat16, int64, uint8
  std::map<std::string, std::string> metadata;
};

/// The bytes of a contiguous tensor on the CPU.
std::string_view bytes_of(const torch::Tensor& tensor);

/// Serialises to the safetensors format; see ulmus/base/safetensors.hpp.
std::string encode_safetensors(const TensorFile& file);

/// Reads everything from an open file. Nothing in it is executed.
TensorFile read_tensors(const SafetensorsFile& file);

}  // namespace ulmus::detail
