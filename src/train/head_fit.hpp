#pragma once

#include <cstdint>
#include <optional>

#include "train/feature_set.hpp"
#include "train/head_weights.hpp"
#include "ulmus/data/sampler.hpp"
#include "ulmus/loss/loss.hpp"

/// New heads fitted on the features of a frozen backbone: seconds, where training takes hours.
namespace ulmus::detail {

/// SGD with momentum over minibatches; the learning rate falls from `lr` to 0 along a half cosine. It is not the rate
/// of the run, which suits the backbone: that of a head follows from the length of its features.
struct HeadFitOptions {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;
  std::optional<double>
      lr;  ///< unset: 0.1 on a cosine head; on a linear one 2 over the mean squared length of a feature
  double momentum = 0.9;
  double weight_decay = 2e-4;
  std::optional<Reduction> reduction;  ///< unset: that of the loss's definition
  std::uint64_t seed = 0;              ///< of the first weights, the order and a loss's random draws
  Sampler sampler{};                   ///< unless the loss has a rule for it
};

/// The learning rate of a head on features whose squared lengths have this mean.
double default_head_rate(Head kind, double mean_square);

/// Trains a head from new weights on frozen features with the fused kernel. Parts of the loss that begin late in a
/// training (`drw`, keys `from`) are in force from the start.
///
/// Deterministic for a given number of LibTorch threads. Throws Error{numerical} when the loss is not finite.
HeadWeights fit_head(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, Head kind,
                     const HeadFitOptions& options);

/// Learnable weight scaling: z[j] of a linear head times a factor f[j], learnt with `spec` from f = 1; the head with
/// the factors multiplied into it. Kang et al., ICLR 2020, section 4.3.
HeadWeights fit_class_scales(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts,
                             const HeadWeights& head, const HeadFitOptions& options);

}  // namespace ulmus::detail
