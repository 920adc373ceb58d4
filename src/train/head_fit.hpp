#pragma once

#include <cstdint>
#include <optional>

#include "train/feature_set.hpp"
#include "train/head_weights.hpp"
#include "ulmus/data/sampler.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/train/schedule.hpp"

/// Fits new heads on the features of a frozen backbone: takes seconds instead of the hours of a training.
namespace ulmus::detail {

/// SGD with momentum over minibatches. The defaults suit a head on the features of a network that is trained as a
/// whole; for a run that trains a head alone, head_fit_options() gives its training.
struct HeadFitOptions {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;
  /// Unset: default_head_rate().
  std::optional<double> lr;
  LearningRateSchedule::Kind schedule = LearningRateSchedule::Kind::cosine;
  double warmup = 0;    ///< fraction of the epochs
  bool defers = false;  ///< deferred parts of the loss (`drw`, keys `from`) wait for their epoch
  double momentum = 0.9;
  double weight_decay = 2e-4;
  std::optional<Reduction> reduction;  ///< unset: that of the loss's definition
  std::uint64_t seed = 0;              ///< for the initial weights, the order of samples and a loss's random draws
  Sampler sampler{};                   ///< unless the loss has a sampling rule
};

/// The sampler of a loss that resamples (`rs`, `drs`).
Sampler rule_sampler(const LossSpec& loss);

/// The learning rate of a head on features h: 0.1 for a cosine head, sqrt(2C) / E|h|^2 for a linear one.
///
/// The curvature of the cross entropy is at most |h|^2 / 2, where two classes compete, and |h|^2 / C, where all classes
/// are equally likely. The rate is the inverse of the geometric mean of both.
double default_head_rate(Head kind, double mean_square, std::int64_t classes);

/// Trains a head from new weights on frozen features with the fused kernel, as a run with these options trains it.
///
/// Deterministic for a given number of LibTorch threads. Throws Error{numerical} if the loss is not finite.
HeadWeights fit_head(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, Head kind,
                     const HeadFitOptions& options);

/// Learnable weight scaling: multiplies z[j] of a linear head by a factor f[j], learnt with `spec` from f = 1; returns
/// the head with the factors multiplied into its parameters. Kang et al., ICLR 2020, section 4.3.
HeadWeights fit_class_scales(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts,
                             const HeadWeights& head, const HeadFitOptions& options);

}  // namespace ulmus::detail
