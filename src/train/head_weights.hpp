#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "train/feature_set.hpp"
#include "train/forward.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/loss/class_counts.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// The last layer of a classifier.
struct HeadWeights {
  Head kind = Head::linear;
  torch::Tensor weight;  ///< float [C, D]
  torch::Tensor bias;    ///< float [C]; undefined for a cosine head
};

/// Lower bound of the length by which rows of a cosine head and of its features are divided.
inline constexpr double k_smallest_norm = 1e-12;

/// Divides each row of [N, D] by its length.
torch::Tensor unit_rows(const torch::Tensor& rows);

/// The head of a model, sharing its memory.
HeadWeights head_of(Classifier& model);

/// Copies a head's weights into a model whose head has the same kind and shape.
void set_head(Classifier& model, const HeadWeights& head);

/// Maps features [N, D] to the head's output [N, C].
torch::Tensor head_output(const HeadWeights& head, const torch::Tensor& features);

/// W[j] / |W[j]|^tau for a linear head, without its bias. Kang et al., ICLR 2020, equation 3.
HeadWeights tau_normalised(const HeadWeights& head, double tau);

/// Evaluates a head on features.
Evaluation evaluate_head(const HeadWeights& head, const FeatureSet& set, const ClassCounts& counts, double scale);

/// Index of the best evaluation: by balanced accuracy, then by negative log-likelihood, then the first.
std::size_t best_evaluation(const std::vector<Evaluation>& evaluations);

}  // namespace ulmus::detail
