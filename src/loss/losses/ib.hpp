#pragma once

#include "loss/definition.hpp"

/// Common code of ib and ib-focal.
namespace ulmus::detail::ib {

inline constexpr std::string_view k_weights[] = {"inverse", "effective", "none"};
inline constexpr Key k_alpha{"alpha", 1000, k_positive, "multiplies the loss", "IB code, scripts"};
inline constexpr Key k_weight{"weights", "inverse", {}, "w: inverse frequency, effective number or ones",
                              "IB code", k_weights};
inline constexpr Key k_beta{"beta",    0.9999, {0, 1, false, true}, "of the effective number",
                            "IB code", {},     "weights=effective"};
inline constexpr Key k_from{
    "from", 0.5, {0, 1, false, true}, "fraction of the epochs after which it begins", "IB code: epoch 100 of 200"};

KernelParams influence_balanced_params(const KeyValues& keys, const ClassCounts& counts);

/// `gamma`: exponent of the focal factor; 0: none.
LossHooks influence_balanced_hooks(double alpha, double gamma);

}  // namespace ulmus::detail::ib
