#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/view.hpp"

namespace ulmus {

/// Maps the head's output z [C] of a trained model to scores and probabilities:
///
///     score     u[j] = scale / temperature * slope[j] * z[j] + offset[j]
///     p(j | x)  = softmax(u)[j]
///
/// The temperature divides the evidence from the image, but not the knowledge about the classes.
struct ScoreTransform {
  double scale = 1;  ///< scale of the loss
  double temperature = 1;
  std::vector<double> slope;   ///< [C], above 0; empty: ones
  std::vector<double> offset;  ///< [C]; empty: zeros

  /// True without any adjustment: p = softmax(scale z).
  bool plain() const { return temperature == 1 && slope.empty() && offset.empty(); }

  /// Computes u of one sample into `scores`; both [C]. Double precision.
  void apply(std::span<const float> logits, std::span<double> scores) const;

  /// Computes p of one sample; both [C].
  void probabilities(std::span<const float> logits, std::span<double> probabilities) const;

  /// Replaces every row of `logits` [N, C] by (temperature / scale) u, the scores in the units of the head's output.
  /// `evaluate` with the scale `scale / temperature` then evaluates the scores.
  void adjust(MatrixView<float> logits) const;
};

/// Adjusts a trained classifier for its imbalance, without training; pi is the prior of the training part, s the scale
/// of the loss.
///
///     la:tau=T        u[j] = s z[j] - T log pi[j]             Menon et al., ICLR 2021; T = 1 for a uniform test prior
///     mla:tau=T       u[j] = s z[j] pi[j]^-T                  Hasegawa and Sato, ICLR 2025
///     tau-norm:tau=T  W[j] becomes W[j] / |W[j]|^T, no bias   Kang et al., ICLR 2020; linear heads only
///
/// Hasegawa and Sato use T = 0.65 for CIFAR-100-LT.
struct PostHoc {
  enum class Kind { none, la, mla, tau_norm };
  Kind kind = Kind::none;
  double tau = 0;

  /// Parses "none", or a name above with or without `:tau=T`, T >= 0. Throws Error{usage} with the nearest name.
  static PostHoc parse(std::string_view text);
  std::string text() const;

  /// Adds the adjustment to unadjusted scores; no effect for `tau_norm`, which changes the head. Throws Error{data} for
  /// a class without training samples.
  void apply(ScoreTransform& scores, const ClassCounts& train_counts) const;

  /// Divides each row of a linear head's weights [C, D] by |W[j]|^tau, in place. A row of zeros stays unchanged.
  void normalise(MatrixView<float> weight) const;
};

}  // namespace ulmus
