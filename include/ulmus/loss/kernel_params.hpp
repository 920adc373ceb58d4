#pragma once

#include <vector>

#include "ulmus/loss/reduction.hpp"

namespace ulmus {

/// The function applied to the cross entropy c = softplus(d) of a sample.
enum class Shape {
  plain,  ///< c
  focal,  ///< (1 - p)^shape_parameter c,  p = exp(-c)
  poly,   ///< c + shape_parameter (1 - p), the second term without class weights
};

/// The function applied to the true logit z = z[y], given the rival r (the incorrect class's largest logit, constant
/// for the gradient) and A = of_class[y]. Angles in radians. A closed set, so that every implementation of a loss can
/// support all of them.
struct TrueLogitRule {
  enum class Kind {
    margins,        ///< z: only the margins of KernelParams apply
    gap_decay,      ///< z - h,  h = exp(-g - a A) if g > 0, exp(g - A) if g < 0, 0 if g = 0,  g = z - max(0, r); h is
                    ///< constant for the gradient
    difficulty,     ///< z - A (1 - z) / 2; the z of the second term is constant for the gradient
    class_angle,    ///< cos(arccos z + A (1 + [r > z] a (1 - z)))
    angle,          ///< cos(arccos z + a), or z - a sin a if the angle would exceed pi
    stopped_angle,  ///< cos(min(arccos z + a, 3.14159)), as z plus a constant shift
    multiplied_angle,  ///< (-1)^k cos(a arccos z) - 2 k,  k = floor(a arccos z / pi), as z plus a constant shift
  };

  Kind kind = Kind::margins;
  std::vector<double> of_class = {};  ///< A, [C]; empty if the rule has none
  double a = 0;
};

/// The parameters of a loss for the kernel: plain data, for every implementation.
struct KernelParams {
  double scale = 1;                       ///< factor of every adjusted logit, > 0
  std::vector<double> slope = {};         ///< [C], slope of the adjusted logits; empty: ones
  std::vector<double> offset = {};        ///< [C], offset of the adjusted logits, finite; empty: zeros
  std::vector<double> true_margin = {};   ///< [C], subtracted from the true logit: D[y]; empty: none
  std::vector<double> rival_margin = {};  ///< [C], added to the margin for the rival m: -lambda * D[m]; empty: none
  TrueLogitRule true_logit = {};          ///< used instead of the margins
  /// [C], share s[y] of a label that is distributed over all classes: the loss of u is
  /// (1 - s) c + s mean_j(-log softmax(u)[j]); empty: none. Not computed by the kernel.
  std::vector<double> smoothing = {};
  Shape shape = Shape::plain;
  double shape_parameter = 0;
  std::vector<double> class_weight = {};           ///< [C], weights that belong to the definition; empty: ones
  Reduction reduction = Reduction::weighted_mean;  ///< reduction of the definition
};

}  // namespace ulmus
