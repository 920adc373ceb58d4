#pragma once

#include <cstdint>
#include <span>

#include "ulmus/loss/kernel_params.hpp"

namespace ulmus::detail {

/// A few rows whose true logits z[y] are replaced by t.
struct TrueLogits {
  std::span<const double> z;            ///< [rows], z[y]
  std::span<const double> rival;        ///< [rows], the largest incorrect logit, constant for the gradient
  std::span<const std::int64_t> label;  ///< [rows]
  std::span<double> t;                  ///< [rows], output
  std::span<double> slope;              ///< [rows], dt / dz[y], output
};

/// Computes t and its slope by the rule, which must not be Kind::margins.
void move_true_logits(const TrueLogitRule& rule, const TrueLogits& rows);

}  // namespace ulmus::detail
