#pragma once

#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "ulmus/loss/family.hpp"

/// Helpers for the files of losses/: ranges, keys, and parameters computed from class counts.
namespace ulmus::detail {

inline constexpr double k_infinity = std::numeric_limits<double>::infinity();
inline constexpr Range k_any{-k_infinity, k_infinity, true, true};
inline constexpr Range k_not_negative{0, k_infinity, false, true};
inline constexpr Range k_positive{0, k_infinity, true, true};

inline constexpr Key k_max_margin{"max_margin", 0.5, k_not_negative, "margin of the rarest class, in cosine units",
                                  "LDAM-DRW code, CIFAR"};
inline constexpr Key k_margin_scale{"scale", 30, k_positive, "multiplies the cosines before the softmax",
                                    "LDAM-DRW code"};
inline constexpr Key k_beta{"beta",
                            0.9999,
                            {0, 1, false, true},
                            "of the effective number; 0 gives equal weights, near 1 inverse frequency",
                            "LDAM-DRW code"};
inline constexpr Key k_scale{"scale", 1, k_positive, "multiplies the logits before the softmax", "definition"};

inline constexpr Key k_smoothing{
    "smoothing", 0, {0, 1}, "share of the label that goes to the mean over all classes", "definition"};

/// The loss to which a margin is added: cross entropy or balanced softmax.
inline constexpr std::string_view k_bases[] = {"ce", "bs"};

/// Counts for logarithms and powers: a class without samples has the count of the rarest class with samples, as for the
/// margins of LDAM. [C]
std::vector<double> positive_counts(const ClassCounts& counts);

/// log(n) / scale of each class, after positive_counts. [C]
std::vector<double> log_counts(const ClassCounts& counts, double scale);

/// tau * log(prior) / scale of each class, after positive_counts. [C]
std::vector<double> log_prior(const ClassCounts& counts, double tau = 1, double scale = 1);

/// (n / n_max)^gamma of each class, after positive_counts. [C]
std::vector<double> frequency_slopes(const ClassCounts& counts, double gamma);

/// KernelParams::smoothing, the same for every class; empty for 0. [C]
std::vector<double> same_smoothing(const ClassCounts& counts, double smoothing);

/// Throws Error{usage} unless all per-class parameters of a loss are finite, also as float: with some keys and counts,
/// powers and products overflow. `what` is a plural noun for the message.
void require_finite(std::span<const double> of_classes, std::string_view what);

}  // namespace ulmus::detail
