#pragma once

#include <cstdint>
#include <span>

#include "ulmus/loss/kernel_params.hpp"

namespace ulmus::detail {

/// A few rows whose true logits z[y] become t.
struct TrueLogits {
  std::span<const double> z;            ///< [rows], z[y]
  std::span<const double> rival;        ///< [rows], the largest wrong logit, constant for the gradient
  std::span<const std::int64_t> label;  ///< [rows]
  std::span<double> t;                  ///< [rows], to be written
  std::span<double> slope;              ///< [rows], dt / dz[y], to be written
};

/// Writes t and its slope by the rule, which is not Kind::margins.
void move_true_logits(const TrueLogitRule& rule, const TrueLogits& rows);

}  // namespace ulmus::detail
