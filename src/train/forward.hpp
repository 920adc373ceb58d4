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

/// One pass of a model over a part of a data set, in the order of the indices, in evaluation mode and without
/// gradients; without augmentation except in for_each_features(). Batches are small enough that neither the activations
/// of a network nor the logits of many classes need much memory.
namespace ulmus::detail {

/// A tensor [n, channels, height, width] that shares the memory of a batch.
torch::Tensor images_of(Batch& batch, const ImageShape& shape);

/// A view of images: with an augmentation, what it makes of image i by Stream(seed, "augment", number, i), whatever the
/// other images and the threads; the augmentation of epoch `number` of a training with this seed. Otherwise the image.
struct ImageView {
  Augmentation augmentation{};
  std::uint64_t seed = 0;
  std::int64_t number = 0;
};

/// Receives float [n, D] or [n, C], and the labels [n].
using BatchVisitor = std::function<void(const torch::Tensor&, std::span<const std::int64_t>)>;

/// Visits the features of a view of the images, on the placement's device.
void for_each_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                       const Normalisation& normalisation, int loader_threads, const Placement& placement,
                       const BatchVisitor& visit, const ImageView& view = {});

/// Visits the logits, contiguous and on the CPU.
void for_each_logits(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                     const Normalisation& normalisation, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit);

/// Evaluates a model on a part of a data set; `visit` also receives the logits.
Evaluation evaluate_model(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                          const ClassCounts& train_counts, const Normalisation& normalisation, double scale,
                          int loader_threads, const Placement& placement, const BatchVisitor& visit = {});

std::vector<std::int64_t> all_indices(const Dataset& data);

/// The first row of [n, ...] that contains an infinity or NaN, if any.
std::optional<std::int64_t> first_not_finite(const torch::Tensor& rows);

/// Number of rows of `columns` values with at most `values` (16 million) in total; at least 1.
std::int64_t rows_at_once(std::int64_t columns, std::int64_t values = std::int64_t{1} << 24);

/// Views a contiguous float tensor [N, C] on the CPU as a matrix for kernels and evaluators.
MatrixView<const float> view_of(const torch::Tensor& tensor);

}  // namespace ulmus::detail
