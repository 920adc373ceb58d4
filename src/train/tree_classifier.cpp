#include "train/tree_classifier.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/trees/objective.hpp"

namespace ulmus::detail {
namespace {

const std::string k_trees = "trees";

}  // namespace

FeatureColumns feature_columns(const std::optional<std::string>& encoding, std::int64_t width) {
  if (encoding) {
    const TableEncoding table = encoding_from_json(*encoding);
    return {.names = table.feature_names(), .levels = table.feature_codes()};
  }
  FeatureColumns columns{.names = {}, .levels = std::vector<std::int64_t>(static_cast<std::size_t>(width), 0)};
  for (std::int64_t i = 0; i < width; ++i) columns.names.push_back(fmt::format("feature {}", i));
  return columns;
}

FeatureMatrix feature_matrix(const Dataset& data, const std::vector<std::int64_t>& indices,
                             const FeatureColumns& columns, int threads) {
  const auto width = static_cast<std::size_t>(data.shape().channels);
  std::vector<float> values(indices.size() * width);
  for (std::size_t i = 0; i < indices.size(); ++i)
    data.read_features(indices[i], std::span(values).subspan(i * width, width));
  return {{values.data(), std::ssize(indices), data.shape().channels}, columns, threads};
}

TreeClassifierImpl::TreeClassifierImpl(Booster booster, FeatureColumns columns, std::int64_t classes, double scale)
    : booster_(std::move(booster)), columns_(std::move(columns)), classes_(classes), scale_(scale) {
  std::string bytes = booster_.save(BoosterFormat::ubj);
  const auto size = static_cast<std::int64_t>(bytes.size());
  sha256_ = sha256(bytes);
  register_buffer(k_trees, torch::from_blob(bytes.data(), {size}, torch::kUInt8).clone());
}

torch::Tensor TreeClassifierImpl::features(const torch::Tensor& rows) {
  const torch::Tensor flat = rows.flatten(1).contiguous();
  const FeatureMatrix matrix({flat.data_ptr<float>(), flat.size(0), flat.size(1)}, columns_, at::get_num_threads());
  torch::Tensor logits = torch::empty({flat.size(0), classes_}, torch::kFloat);
  logits_of_scores(booster_.scores(matrix), scale_, {logits.data_ptr<float>(), flat.size(0), classes_});
  return logits;
}

Classifier as_classifier(Booster booster, FeatureColumns columns, std::int64_t classes, double scale) {
  std::shared_ptr<ClassifierImpl> trees =
      std::make_shared<TreeClassifierImpl>(std::move(booster), std::move(columns), classes, scale);
  return Classifier(std::move(trees));
}

std::string read_trees(const SafetensorsFile& file, const CheckpointInfo& info) {
  const StoredTensor* stored = file.find(k_trees);
  if (!stored || stored->type.id != StoredType::Id::u8)
    throw_bad_checkpoint(file.path(), fmt::format("it has no U8 tensor '{}'", k_trees));
  std::string bytes(stored->size, '\0');
  file.read(*stored, bytes.data());
  if (sha256(bytes) != info.model.script_sha256)
    throw_bad_checkpoint(file.path(), "its trees are not those that were written");
  return bytes;
}

Classifier load_trees(const SafetensorsFile& file, const CheckpointInfo& info, double scale, int threads) {
  require_xgboost();
  const std::string trees = read_trees(file, info);
  try {
    FeatureColumns columns = feature_columns(info.encoding, info.model.channels);
    Booster booster(trees, TreeOptions::parse(info.model.name), info.model.classes, columns, info.seed, threads, {});
    return as_classifier(std::move(booster), std::move(columns), info.model.classes, scale);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::environment) throw;
    throw_bad_checkpoint(file.path(), error.what());
  }
}

}  // namespace ulmus::detail
