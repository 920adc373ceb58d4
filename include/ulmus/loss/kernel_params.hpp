#pragma once

#include <vector>

#include "ulmus/loss/reduction.hpp"

namespace ulmus {

/// What a sample's cross entropy c = softplus(d) becomes.
enum class Shape {
  plain,  ///< c
  focal,  ///< (1 - p)^shape_parameter c,  p = exp(-c)
  poly,   ///< c + shape_parameter (1 - p), the second term without class weights
};

/// What the true logit z = z[y] becomes, from the largest wrong logit r (constant for the gradient) and A =
/// of_class[y]. In radians. A closed set, so that each place that computes a loss can have them all.
struct TrueLogitRule {
  enum class Kind {
    margins,        ///< z: the margins of KernelParams say all
    gap_decay,      ///< z - h,  h = exp(-g - a A) if g > 0, exp(g - A) if g < 0, 0 if g = 0,  g = z - max(0, r); h is
                    ///< constant for the gradient
    difficulty,     ///< z - A (1 - z) / 2, with z in the second term constant for the gradient
    class_angle,    ///< cos(arccos z + A (1 + [r > z] a (1 - z)))
    angle,          ///< cos(arccos z + a), z - a sin a where the angle would pass pi
    stopped_angle,  ///< cos(min(arccos z + a, 3.14159)), as z plus a constant shift
    multiplied_angle,  ///< (-1)^k cos(a arccos z) - 2 k,  k = floor(a arccos z / pi), as z plus a constant shift
  };

  Kind kind = Kind::margins;
  std::vector<double> of_class = {};  ///< A, [C]; empty where the rule has none
  double a = 0;
};

/// The numbers with which a loss fills the kernel's slots: plain data, for every place that computes it.
struct KernelParams {
  double scale = 1;                       ///< multiplies every adjusted logit, > 0
  std::vector<double> slope = {};         ///< [C], of the adjusted logits; empty: ones
  std::vector<double> offset = {};        ///< [C], of the adjusted logits, finite; empty: zeros
  std::vector<double> true_margin = {};   ///< [C], subtracted from the true logit: D[y]; empty: none
  std::vector<double> rival_margin = {};  ///< [C], added to the margin for the rival m: -lambda * D[m]; empty: none
  TrueLogitRule true_logit = {};          ///< in place of the margins
  std::vector<double> smoothing =
      {};  ///< [C], share s[y] of a label that goes to the mean over all classes: the loss of u
           ///< is (1 - s) c + s mean_j(-log softmax(u)[j]); empty: none. Not in the kernel
  Shape shape = Shape::plain;
  double shape_parameter = 0;
  std::vector<double> class_weight = {};           ///< [C], where the weights belong to the definition; empty: ones
  Reduction reduction = Reduction::weighted_mean;  ///< that of the definition
};

}  // namespace ulmus
