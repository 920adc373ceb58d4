#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "train/placement.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// Samples of features, on which heads are trained and evaluated; images count as vectors of their pixels. They are
/// read batch by batch, so features in files need no memory.
struct FeatureSet {
  Dataset data;                       ///< of D values
  std::vector<std::int64_t> indices;  ///< the samples, N of them
  Normalisation normalisation{};
  std::vector<Dataset> views{};  ///< trained on in turn instead of `data`: view e modulo their number in epoch e
  BlockShuffle shuffle{};        ///< of trainings

  std::int64_t width() const { return data.shape().pixels(); }
  const Dataset& data_of(std::int64_t epoch) const {
    return views.empty() ? data : views[static_cast<std::size_t>(epoch) % views.size()];
  }
};

/// Calls visit(x, labels) for batches of the set in the order of its indices: float [n, D], and [n]. A batch has at
/// most 2 million values, also as the output [n, C] of a head.
void for_each_batch(const FeatureSet& set,
                    const std::function<void(const torch::Tensor&, std::span<const std::int64_t>)>& visit);

/// The mean squared length of the samples.
double mean_square(const FeatureSet& set);

/// Computes features in evaluation mode, without augmentation, and keeps them in memory: sample i of the set is
/// sample indices[i] of `data`. Throws Error{environment} when they are more than the memory.
FeatureSet extract_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                            const Normalisation& normalisation, int loader_threads, const Placement& placement);

/// Features [N, D], float and contiguous, as a data set with these labels.
FeatureSet feature_set_of(const torch::Tensor& features, std::vector<std::int64_t> labels,
                          std::vector<std::string> class_names);

}  // namespace ulmus::detail
