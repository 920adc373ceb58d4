#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "train/placement.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/data/sampler.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/nn/model.hpp"

/// Heads fitted anew on the features of a frozen backbone: what takes a training run's hours takes a head's seconds.
namespace ulmus::detail {

/// What a backbone makes of a part of a data set.
struct FeatureSet {
  torch::Tensor features;            ///< float [N, D]
  std::vector<std::int64_t> labels;  ///< [N]
};

/// In evaluation mode, without augmentation, in the order of the indices.
FeatureSet extract_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                            const Normalisation& normalisation, int loader_threads, const Placement& placement);

/// The last layer of a classifier by itself.
struct HeadWeights {
  Head kind = Head::linear;
  torch::Tensor weight;  ///< float [C, D]
  torch::Tensor bias;    ///< float [C]; undefined for a cosine head
};

/// The head of a model, sharing its memory.
HeadWeights head_of(Classifier& model);

/// Copies a head's weights into a model with a head of its kind and shape.
void set_head(Classifier& model, const HeadWeights& head);

/// Features [N, D] to the head's output [N, C].
torch::Tensor head_output(const HeadWeights& head, const torch::Tensor& features);

/// SGD with momentum over minibatches; the learning rate falls from `lr` to 0 along a half cosine. Not the run's rate,
/// which suits its backbone: a head's follows from what it multiplies.
struct HeadFitOptions {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;
  double lr = 0;  ///< 0: 0.1 on a cosine head; on a linear one 2 over the mean squared length of a feature
  double momentum = 0.9;
  double weight_decay = 2e-4;
  std::string reduction = "auto";  ///< or a name; auto: that of the loss's definition
  std::uint64_t seed = 0;          ///< of the first weights, the order and a loss's random draws
  Sampler sampler{};               ///< unless the loss has a rule for it
};

/// A head trained from new weights on frozen features by the fused kernel, with everything of the loss in force that
/// begins late in a training (`drw`, keys `from`).
///
/// Deterministic for a given number of LibTorch threads. Throws Error{numerical} when the loss is not finite.
HeadWeights fit_head(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, Head kind,
                     const HeadFitOptions& options);

/// Learnable weight scaling: z[j] of a linear head times a factor f[j], learnt with `spec` from f = 1; the head with
/// the factors multiplied into it. Kang et al., ICLR 2020, section 4.3.
HeadWeights fit_class_scales(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts,
                             const HeadWeights& head, const HeadFitOptions& options);

/// W[j] / |W[j]|^tau of a linear head, without its bias. Kang et al., ICLR 2020, equation 3.
HeadWeights tau_normalised(const HeadWeights& head, double tau);

Evaluation judge_head(const HeadWeights& head, const FeatureSet& on, const ClassCounts& counts, double scale);

/// The position of the best: by balanced accuracy, among equals by negative log-likelihood, then the first.
std::size_t best_of(const std::vector<Evaluation>& evaluations);

}  // namespace ulmus::detail
