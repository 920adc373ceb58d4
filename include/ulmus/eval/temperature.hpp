#pragma once

#include <cstdint>
#include <span>

#include "ulmus/eval/posthoc.hpp"

namespace ulmus {

/// The temperatures that `fit_temperature` chooses from.
constexpr double k_lowest_temperature = 0.01, k_highest_temperature = 100;

/// The temperature of `scores` (Guo et al., ICML 2017) with the smallest negative log-likelihood of `labels` [N],
///
///     mean over i of  w[y[i]] * -log softmax(scale / T * slope * z[i] + offset)[y[i]],
///
/// for `logits` [N, C], w = `class_weights` [C] (empty: ones). It is convex in 1 / T; the root of its derivative is
/// bracketed to a relative 1e-9, in double precision and the order of the rows. A bound is returned when the optimum
/// lies beyond it: for example when every sample is right, or when the logits are worse than chance.
///
/// Throws Error{data} without samples or for shapes that do not match.
double fit_temperature(MatrixView<const float> logits, std::span<const std::int64_t> labels,
                       const ScoreTransform& scores, std::span<const double> class_weights = {});

}  // namespace ulmus
