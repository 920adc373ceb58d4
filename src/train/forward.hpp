#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "train/placement.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/nn/model.hpp"

/// One pass of a model over a part of a data set, in the order of the indices, in evaluation mode, without augmentation
/// and without gradients. Batches are small enough that neither the activations of a network nor the logits of many
/// classes need much memory.
namespace ulmus::detail {

/// A batch as a tensor [n, channels, height, width] over its memory.
torch::Tensor images_of(Batch& batch, const ImageShape& shape);

/// float [n, D] or [n, C], and the labels [n].
using BatchVisitor = std::function<void(const torch::Tensor&, std::span<const std::int64_t>)>;

/// Visits the features, on the placement's device.
void for_each_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                       const Normalisation& normalisation, int loader_threads, const Placement& placement,
                       const BatchVisitor& visit);

/// Visits the logits, contiguous and on the CPU.
void for_each_logits(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                     const Normalisation& normalisation, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit);

/// Evaluates a model on a part of a data set.
Evaluation evaluate_model(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                          const ClassCounts& train_counts, const Normalisation& normalisation, double scale,
                          int loader_threads, const Placement& placement);

/// The indices of every sample.
std::vector<std::int64_t> all_indices(const Dataset& data);

/// The first row [n, ...] with a value that is infinite or not a number, if there is one.
std::optional<std::int64_t> first_not_finite(const torch::Tensor& rows);

/// Rows of `columns` values that make up at most 16 million; at least 1.
std::int64_t rows_at_once(std::int64_t columns);

/// A contiguous float tensor [N, C] on the CPU as what the kernels and evaluators take.
MatrixView<const float> view_of(const torch::Tensor& tensor);

}  // namespace ulmus::detail
