#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>

namespace ulmus::detail {

/// Named tensors and text metadata, as a safetensors file holds them.
struct TensorFile {
  std::map<std::string, torch::Tensor> tensors;  ///< contiguous, on the CPU: float, double, half, bfloat16, int64
  std::map<std::string, std::string> metadata;
};

/// The bytes of a safetensors file; ulmus/base/safetensors_header.hpp says what one is.
std::string encode_safetensors(const TensorFile& file);

/// Reads a safetensors file. Nothing in it is executed; throws as read_safetensors_header() does.
TensorFile read_safetensors(const std::filesystem::path& path);

}  // namespace ulmus::detail
