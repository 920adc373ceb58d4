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

/// The bytes of a safetensors file (specification 0.x of huggingface/safetensors): 8 bytes little-endian header length,
/// JSON header, data.
std::string encode_safetensors(const TensorFile& file);

/// Reads a safetensors file. Nothing in it is executed; every length and offset is checked before it is used.
/// Throws Error{data} naming the file and what is wrong.
TensorFile read_safetensors(const std::filesystem::path& path);

}  // namespace ulmus::detail
