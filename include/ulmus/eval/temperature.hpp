#pragma once

#include <cstdint>
#include <span>

#include "ulmus/eval/posthoc.hpp"
#include "ulmus/eval/scores.hpp"

namespace ulmus {

/// The range of `fit_temperature`.
constexpr double k_lowest_temperature = 0.01, k_highest_temperature = 100;

/// Fits the temperature of `scores` (Guo et al., ICML 2017) that minimises the negative log-likelihood of `labels` [N],
///
///     mean over i of  w[y[i]] * -log softmax(scale / T * slope * z[i] + offset)[y[i]],
///
/// for `logits` [N, C], w = `class_weights` [C] (empty: ones). The objective is convex in 1 / T; the root of its
/// derivative is bracketed to a relative 1e-9, in double precision and row order. Returns a bound of the range if the
/// optimum is beyond it: for example if every sample is correct, or if the logits are worse than chance.
///
/// Throws Error{data} without samples or for shapes that do not match.
double fit_temperature(MatrixView<const float> logits, std::span<const std::int64_t> labels,
                       const ScoreTransform& scores, std::span<const double> class_weights = {});

/// The same for log probabilities [N, C] and apply_temperature(logs, T, trained).
double fit_temperature(const ScoreMatrix& logs, std::span<const std::int64_t> labels,
                       std::span<const double> trained = {});

}  // namespace ulmus
