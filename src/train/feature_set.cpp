#include "train/feature_set.hpp"

#include "train/feature_shuffle.hpp"
#include "train/forward.hpp"

namespace ulmus::detail {

FeatureSet extract_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                            const Normalisation& normalisation, int loader_threads, const Placement& placement) {
  FeatureSet set;
  for_each_features(model, data, indices, normalisation, loader_threads, placement,
                    [&](const torch::Tensor& features, std::span<const std::int64_t> labels) {
                      if (!set.features.defined()) {
                        require_memory(std::ssize(indices), features.size(1), "fitting heads");
                        set.features = torch::empty({std::ssize(indices), features.size(1)}, torch::kFloat);
                      }
                      set.features.narrow(0, std::ssize(set.labels), features.size(0)).copy_(features);
                      set.labels.insert(set.labels.end(), labels.begin(), labels.end());
                    });
  return set;
}

FeatureSet read_features(const Dataset& features, const std::vector<std::int64_t>& indices) {
  const std::int64_t width = features.shape().channels;
  require_memory(std::ssize(indices), width, "fitting heads");
  FeatureSet set{.features = torch::empty({std::ssize(indices), width}, torch::kFloat), .labels = {}};
  float* row = set.features.data_ptr<float>();
  for (const std::int64_t index : indices) {
    features.read_features(index, {row, static_cast<std::size_t>(width)});
    set.labels.push_back(features.labels()[static_cast<std::size_t>(index)]);
    row += width;
  }
  return set;
}

}  // namespace ulmus::detail
