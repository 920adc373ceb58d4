#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "train/placement.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// The features of a part of a data set, computed by a backbone.
struct FeatureSet {
  torch::Tensor features;            ///< float [N, D]
  std::vector<std::int64_t> labels;  ///< [N]
};

/// Computes features in evaluation mode, without augmentation, in the order of the indices. Throws Error{environment}
/// when they are more than the memory.
FeatureSet extract_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                            const Normalisation& normalisation, int loader_threads, const Placement& placement);

/// Reads samples of a data set of features, in the order of the indices. Throws as extract_features.
FeatureSet read_features(const Dataset& features, const std::vector<std::int64_t>& indices);

}  // namespace ulmus::detail
