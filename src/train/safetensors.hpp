#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "ulmus/base/safetensors.hpp"

namespace ulmus::detail {

/// Named tensors and text metadata, as a safetensors file holds them.
struct TensorFile {
  std::map<std::string, torch::Tensor>
      tensors;  ///< contiguous, on the CPU: float, double, half, bfloat16, int64, uint8
  std::map<std::string, std::string> metadata;
};

/// The bytes of a safetensors file; ulmus/base/safetensors.hpp says what one is.
std::string encode_safetensors(const TensorFile& file);

/// Everything of an open file. Nothing in it is executed.
TensorFile read_tensors(const SafetensorsFile& file);

}  // namespace ulmus::detail
