#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ulmus/loss/loss.hpp"

/// A loss of the family as what boosted trees are grown on: a gradient and a second derivative of every score.
///
/// Boosting fits the scores in the units of the softmax, f[j] = s z[j] with the scale s of the loss, so that step size,
/// L2 and the weights of leaves mean the same for every loss. Of a loss that is the cross entropy of a softmax of
/// shifted logits,
///
///     l = w (logsumexp_j u[j] - u[y]),   u[j] = a[j] f[j] + c[j]
///
/// with slopes a and shifts c that do not depend on f (prior, margins; also those of the rival, which is constant for
/// the gradient), and with p = softmax(u), the derivatives are
///
///     g[j] = dl/df[j]     = w a[j] (p[j] - [j = y])
///     h[j] = d2l/df[j]^2  = w a[j]^2 p[j] (1 - p[j])
///
/// Let q[j] = |g[j]| / (w a[j]): it is p[j] for a wrong class and 1 - p[y] for the true one, and q (1 - q) is
/// p (1 - p) for both. So the second derivative follows from the gradient alone,
///
///     h[j] = |g[j]| (a[j] - |g[j]| / w)                         in z: |g| (s a[j] - |g| / w)
///
/// and the kernel needs no second pass. Where the shape is bent (focal), the target is not one class (smoothed labels)
/// or shifts depend on the scores, this does not hold: such losses are refused.
///
/// **Two classes** are one score f, with z = (-f/2, f/2) / s: only the difference of the logits counts. Then
/// dl/df = (g[1] - g[0]) / 2, and the same formula holds with (a[0] + a[1]) / 2 in place of a[j].
///
/// **More classes** grow one tree each from the diagonal of the Hessian alone. As the classes of a row move together,
/// the step is too long by about C / (C - 1) and more for a row between two classes; XGBoost's own softmax takes twice
/// the diagonal, and so do we: trees of `ce` are its trees.
namespace ulmus {

/// Why trees cannot be grown on this loss ("its shape bends the cross entropy ..."); nothing where they can. Decided by
/// what the loss computes with its keys, not by its name.
std::optional<std::string> reason_against_trees(const Loss& loss);

/// The names of the losses that trees can be grown on, with their default keys.
std::vector<std::string> losses_for_trees();

/// Throws Error{usage} naming the loss, the reason and the losses that will do.
void require_tree_loss(const Loss& loss);

/// h of the formula above from the gradient g; 0 where rounding would make it negative.
inline double second_derivative(double gradient, double slope, double weight) {
  const double size = gradient < 0 ? -gradient : gradient;
  const double h = weight > 0 ? size * (slope - size / weight) : 0;
  return h > 0 ? h : 0;
}

/// A curvature that does not vanish where the loss is flat. A margin is a distance in score that every row has to go
/// first, and there h is near 0: a Newton step would be far too long, and leaves would have no weight. For q > 1/2 this
/// is the curvature of the tangent parabola that lies above softplus everywhere (Jaakkola and Jordan, 2000),
///
///     w a^2 (q - 1/2) / log(q / (1 - q)),   q = |g| / (w a)
///
/// so a step with it never raises the loss of two classes; for q <= 1/2 it is h, and both are equal at 1/2.
double bounded_curvature(double gradient, double slope, double weight);

/// Scores of trees for each row: one, where there are two classes, otherwise one a class.
inline std::int64_t score_groups(std::int64_t classes) { return classes == 2 ? 1 : classes; }

/// The logits z [N, C] that scores f [N, groups] stand for: f / s, and (-f/2, f/2) / s for two classes.
void logits_of_scores(std::span<const float> scores, double scale, MatrixView<float> logits);

/// Gradients and second derivatives of a loss over rows that stay the same from round to round.
class TreeObjective {
 public:
  /// `labels` [N]. Rows weigh what the class weights of the loss say, divided by what `reduction` divides by and
  /// multiplied by N: with weighted_mean they are 1 on average. Throws Error{usage} as require_tree_loss().
  TreeObjective(Loss loss, Reduction reduction, std::vector<std::int64_t> labels, int threads);

  Loss& loss() { return loss_; }
  const Loss& loss() const { return loss_; }
  std::int64_t groups() const { return score_groups(loss_.counts().classes()); }

  /// The mean loss at `scores` [N, groups] and, of each score, g and what stands for h in a Newton step: h, or
  /// bounded_curvature() for a loss with margins, and twice that for more than two classes; at least 1e-16. Float in
  /// and out. The same bits for any number of threads.
  double evaluate(std::span<const float> scores, std::span<float> gradient, std::span<float> hessian);

  /// The share of rows whose largest score is the true class, at the last call of evaluate().
  double accuracy() const { return accuracy_; }

 private:
  Loss loss_;
  Reduction reduction_;
  std::vector<std::int64_t> labels_;
  int threads_;
  std::vector<float> logits_, logit_gradient_;
  std::vector<std::uint8_t> correct_;
  double accuracy_ = 0;
};

}  // namespace ulmus
