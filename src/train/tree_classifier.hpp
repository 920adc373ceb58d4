#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/checkpoint_info.hpp"
#include "ulmus/base/safetensors.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/nn/model.hpp"
#include "ulmus/trees/booster.hpp"

/// Boosted trees where the train room has a Classifier: in a checkpoint, to evaluate, to predict.
namespace ulmus::detail {

/// The columns of a table of this encoding (JSON), or of `width` features without names.
FeatureColumns feature_columns(const std::optional<std::string>& encoding, std::int64_t width);

/// The features of these samples, [N, D].
FeatureMatrix feature_matrix(const Dataset& data, const std::vector<std::int64_t>& indices,
                             const FeatureColumns& columns, int threads);

/// Trees as a classifier: features [N, D, 1, 1], NaN where missing, to logits [N, C]. It has a buffer `trees`, the
/// model in XGBoost's UBJ, and no head.
class TreeClassifierImpl : public ClassifierImpl {
 public:
  TreeClassifierImpl(Booster booster, FeatureColumns columns, std::int64_t classes, double scale);

  torch::Tensor features(const torch::Tensor& rows) override;
  torch::Tensor classify(const torch::Tensor& logits) override { return logits; }
  /// Of the buffer, which a checkpoint records.
  std::string script_sha256() const override { return sha256_; }

  const Booster& booster() const { return booster_; }
  const FeatureColumns& columns() const { return columns_; }

 private:
  Booster booster_;
  FeatureColumns columns_;
  std::int64_t classes_;
  double scale_;
  std::string sha256_;
};

/// The trees as the program's classifier.
Classifier as_classifier(Booster booster, FeatureColumns columns, std::int64_t classes, double scale);

/// The bytes of the trees of a checkpoint. Throws Error{data} when it has none, and when their SHA-256 is not the
/// recorded one: XGBoost trusts what it reads.
std::string read_trees(const SafetensorsFile& file, const CheckpointInfo& info);

/// The trees of a checkpoint, trained with a loss of this scale, on so many threads.
Classifier load_trees(const SafetensorsFile& file, const CheckpointInfo& info, double scale, int threads);

}  // namespace ulmus::detail
