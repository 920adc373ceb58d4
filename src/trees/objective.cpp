#include "ulmus/trees/objective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/softmax_form.hpp"

namespace ulmus {
namespace {

/// XGBoost's softmax and logistic objectives have the same bound.
constexpr double k_least_hessian = 1e-16;

double slope_of(const KernelParams& params, std::size_t j) { return params.slope.empty() ? 1 : params.slope[j]; }

}  // namespace

std::optional<std::string> reason_against_trees(const Loss& loss) {
  if (loss.spec().resamples())
    return fmt::format("+{} draws rows anew, and trees see all rows; weigh them instead, with +cb or +inverse",
                       loss.spec().rule()->name);
  return obstacle_to_softmax(loss);
}

std::vector<std::string> losses_for_trees() {
  std::vector<std::string> names;
  const ClassCounts counts({3, 2, 1});
  for (const LossDefinition& definition : family())
    if (!reason_against_trees(Loss(LossSpec::parse(definition.name), counts))) names.emplace_back(definition.name);
  return names;
}

void require_tree_loss(const Loss& loss) {
  if (const auto reason = reason_against_trees(loss))
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' cannot grow trees: {}; take one that is the cross entropy of shifted logits: {}",
                            printable(loss.spec().text()), *reason, join(losses_for_trees(), ", ")));
}

double bounded_curvature(double gradient, double slope, double weight) {
  if (!(weight > 0) || !(slope > 0)) return 0;
  const double q = std::fabs(gradient) / (weight * slope);
  if (q <= 0.5) return second_derivative(gradient, slope, weight);
  // Float gradients of rows that are far off round to q = 1, which no distance has.
  const double rest = std::max(1 - q, static_cast<double>(std::numeric_limits<float>::epsilon()) / 2);
  const double distance = std::log((1 - rest) / rest);
  return weight * slope * slope * (distance < 1e-3 ? 0.25 : (0.5 - rest) / distance);
}

void logits_of_scores(std::span<const float> scores, double scale, MatrixView<float> logits) {
  const auto factor = static_cast<float>(1 / scale);
  const std::int64_t groups = score_groups(logits.columns);
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const float* from = scores.data() + i * groups;
    float* to = logits.row(i);
    if (groups == 1) {
      to[1] = from[0] * factor / 2;
      to[0] = -to[1];
    } else {
      std::transform(from, from + groups, to, [&](float f) { return f * factor; });
    }
  }
}

TreeObjective::TreeObjective(Loss loss, Reduction reduction, std::vector<std::int64_t> labels, int threads)
    : loss_(std::move(loss)),
      reduction_(reduction),
      labels_(std::move(labels)),
      threads_(threads),
      logits_(labels_.size() * static_cast<std::size_t>(loss_.counts().classes())),
      logit_gradient_(logits_.size()),
      correct_(labels_.size()) {
  require_tree_loss(loss_);
}

double TreeObjective::evaluate(std::span<const float> scores, std::span<float> gradient, std::span<float> hessian) {
  const std::int64_t classes = loss_.counts().classes(), rows = std::ssize(labels_);
  const double scale = loss_.params().scale;
  const MatrixView<float> logits(logits_.data(), rows, classes);
  const MatrixView<float> by_logit(logit_gradient_.data(), rows, classes);
  logits_of_scores(scores, scale, logits);
  LossBatch batch{.labels = labels_, .reduction = reduction_, .correct = correct_, .threads = threads_};
  // A row weighs its class weight over the mean of all rows' (reduction weighted_mean).
  const double mean_weight = loss_.normaliser(batch).divisor / static_cast<double>(rows);
  batch.normaliser = Normaliser{.divisor = mean_weight, .samples = 1};
  const double sum = loss_.evaluate<float>({logits.data, rows, classes}, batch, by_logit);
  accuracy_ = static_cast<double>(std::accumulate(correct_.begin(), correct_.end(), std::int64_t{0})) /
              static_cast<double>(rows);

  const KernelParams& params = loss_.params();
  const std::span<const double> weights = loss_.class_weights();
  const double mean_slope = classes == 2 ? (slope_of(params, 0) + slope_of(params, 1)) / 2 : 0;
  const auto curvature = params.true_margin.empty() ? second_derivative : bounded_curvature;
  const auto put = [&](std::size_t at, double g, double h) {
    gradient[at] = static_cast<float>(g);
    hessian[at] = static_cast<float>(std::max(h, k_least_hessian));
  };
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<std::size_t>(i);
    const float* by_z = by_logit.row(i);
    const double weight = (weights.empty() ? 1 : weights[static_cast<std::size_t>(labels_[row])]) / mean_weight;
    if (classes == 2) {
      const double g = (static_cast<double>(by_z[1]) - by_z[0]) / (2 * scale);
      put(row, g, curvature(g, mean_slope, weight));
      continue;
    }
    for (std::size_t j = 0; j < static_cast<std::size_t>(classes); ++j) {
      const double g = by_z[j] / scale;
      put(row * static_cast<std::size_t>(classes) + j, g, 2 * curvature(g, slope_of(params, j), weight));
    }
  }
  return sum / static_cast<double>(rows);
}

}  // namespace ulmus
