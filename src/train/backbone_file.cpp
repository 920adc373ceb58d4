#include "train/backbone_file.hpp"

#include <fmt/format.h>

#include <optional>

#include "train/checkpoint_info.hpp"
#include "train/weight_average.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

std::map<std::string, torch::Tensor> backbone_tensors(const Classifier& model) {
  std::map<std::string, torch::Tensor> tensors;
  visit_tensors(*model, [&](const std::string& name, const torch::Tensor& tensor) {
    if (is_backbone_tensor(name)) tensors[name] = tensor.detach().cpu().contiguous();
  });
  return tensors;
}

/// The beginning of a SHA-256, for messages. It may come from a damaged file.
std::string short_hash(const std::string& sha256) { return printable(sha256.substr(0, 12)); }

}  // namespace

bool is_backbone_tensor(std::string_view name) { return !name.starts_with("fc."); }

std::string backbone_sha256(const std::map<std::string, torch::Tensor>& tensors) {
  Sha256 hash;
  for (const auto& [name, tensor] : tensors) {
    if (!is_backbone_tensor(name) || name.ends_with(".num_batches_tracked")) continue;
    hash.add(name);
    hash.add(bytes_of(tensor.to(torch::kFloat).contiguous()));
  }
  return hash.hex();
}

std::string backbone_sha256(const Classifier& model) { return backbone_sha256(backbone_tensors(model)); }

std::string store_backbone(const std::filesystem::path& run, const Classifier& model) {
  const std::filesystem::path path = run / k_backbone_file;
  TensorFile file{.tensors = backbone_tensors(model), .metadata = {}};
  const std::string sha256 = backbone_sha256(file.tensors);
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) {
    write_file(path, encode_safetensors(file));
  } else if (const std::string stored = backbone_sha256(read_tensors(SafetensorsFile(path)).tensors);
             stored != sha256) {
    throw Error(ErrorKind::data,
                fmt::format("'{}' has SHA-256 {}, the backbone that this run begins with has {}; restore the file or "
                            "the weights, whichever was changed, or start a new run",
                            path.string(), short_hash(stored), short_hash(sha256)));
  }
  return sha256;
}

TensorFile read_whole_model(const SafetensorsFile& checkpoint) {
  TensorFile whole = read_tensors(checkpoint);
  if (!is_checkpoint(checkpoint)) return whole;
  const std::optional<std::string> expected = read_checkpoint_info(checkpoint).backbone_sha256;
  if (!expected) return whole;
  const SafetensorsFile file = open_backbone(checkpoint.path());
  TensorFile backbone = read_tensors(file);
  if (const std::string sha256 = backbone_sha256(backbone.tensors); sha256 != *expected)
    throw Error(ErrorKind::data, fmt::format("'{}' has SHA-256 {}, checkpoint '{}' was trained on {}; restore the file",
                                             file.path().string(), short_hash(sha256), checkpoint.path().string(),
                                             short_hash(*expected)));
  whole.tensors.merge(backbone.tensors);
  return whole;
}

}  // namespace ulmus::detail
