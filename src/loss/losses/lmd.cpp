// Large-margin discriminative loss: cross entropy plus terms that keep features compact around their class's running
// mean, and the batch means at a distance from the head's decision boundaries, on the correct side.
#include <algorithm>
#include <cmath>

#include "loss/class_means.hpp"
#include "loss/definition.hpp"

namespace ulmus::detail::lmd {
namespace {

struct Strengths {
  double compactness, margin, norm;  // alpha, beta, gamma
  double within, between, momentum;  // delta_v, delta_d
  bool l1;                           // use the L1 norm of features
};

/// The rows of one class in a batch, and the gradient to be added to each of them.
struct ClassRows {
  std::vector<std::int64_t> rows;
  std::vector<double> mean, common;
};

/// A norm of a feature, and its derivative with respect to a component.
struct Norm {
  bool l1;
  double size;

  Norm(std::span<const double> v, bool l1_) : l1(l1_), size(0) {
    for (const double x : v) size += l1 ? std::fabs(x) : x * x;
    if (!l1) size = std::sqrt(size);
  }
  double slope(double component) const {
    if (component == 0) return 0;
    return l1 ? std::copysign(1.0, component) : component / size;
  }
};

/// Squared hinge of the distance to the running mean beyond `within`, and the norm of the running mean. Both affect the
/// features directly and through this batch's contribution to the running mean.
double compactness(const FeatureBatch& batch, ClassRows& one, std::span<const double> running, double part,
                   const Strengths& s, double share) {
  const auto width = static_cast<std::size_t>(batch.features.columns);
  const double n = static_cast<double>(one.rows.size());
  double loss = 0;
  std::vector<double> apart(width);
  for (const std::int64_t i : one.rows) {
    for (std::size_t k = 0; k < width; ++k) apart[k] = batch.features.row(i)[k] - running[k];
    const Norm distance(apart, s.l1);
    const double excess = std::max(distance.size - s.within, 0.0);
    loss += share * s.compactness * excess * excess / n;
    if (batch.gradient.empty() || excess == 0) continue;
    for (std::size_t k = 0; k < width; ++k) {
      const double pull = share * s.compactness * 2 / n * excess * distance.slope(apart[k]);
      batch.gradient.row(i)[k] += pull;
      one.common[k] -= part / n * pull;
    }
  }
  const Norm of_mean(running, s.l1);
  for (std::size_t k = 0; k < width; ++k) one.common[k] += share * s.norm * part / n * of_mean.slope(running[k]);
  return loss + share * s.norm * of_mean.size;
}

/// Hinge loss of the distance between the batch mean of class c and the decision boundary that it violates most, at
/// least 0.
double boundary(const FeatureBatch& batch, ClassRows& one, std::int64_t c, const Strengths& s, double share) {
  const auto width = static_cast<std::size_t>(batch.features.columns);
  const double *w = batch.head_weight.row(c), n = static_cast<double>(one.rows.size());
  double worst = 0, worst_size = 1, worst_excess = 0;
  std::int64_t rival = -1;
  for (std::int64_t j = 0; j < batch.head_weight.rows; ++j) {
    if (j == c) continue;
    const double* other = batch.head_weight.row(j);
    double excess = batch.head_bias[static_cast<std::size_t>(j)] - batch.head_bias[static_cast<std::size_t>(c)],
           square = 0;
    for (std::size_t k = 0; k < width; ++k) {
      excess += (other[k] - w[k]) * one.mean[k];
      square += (other[k] - w[k]) * (other[k] - w[k]);
    }
    const double size = std::sqrt(square), value = s.between + excess / size;
    if (size > 0 && value > worst) {
      worst = value;
      worst_size = size;
      worst_excess = excess;
      rival = j;
    }
  }
  if (rival < 0) return 0;
  const double factor = share * s.margin / worst_size;
  const double* other = batch.head_weight.row(rival);
  for (std::size_t k = 0; k < width; ++k) {
    const double apart = other[k] - w[k];
    one.common[k] += factor * apart / n;
    if (batch.head_weight_gradient.empty()) continue;
    const double by_weight = factor * (one.mean[k] - worst_excess * apart / (worst_size * worst_size));
    batch.head_weight_gradient.row(rival)[k] += by_weight;
    batch.head_weight_gradient.row(c)[k] -= by_weight;
  }
  if (!batch.head_bias_gradient.empty()) {
    batch.head_bias_gradient[static_cast<std::size_t>(rival)] += factor;
    batch.head_bias_gradient[static_cast<std::size_t>(c)] -= factor;
  }
  return share * s.margin * worst;
}

double discriminative(const BatchView& batch, const LossState& state, const Strengths& s) {
  const FeatureBatch& f = batch.features;
  const auto width = static_cast<std::size_t>(f.features.columns);
  std::vector<ClassRows> classes(static_cast<std::size_t>(batch.classes));
  double present = 0;
  for (std::int64_t i = 0; i < batch.rows; ++i) {
    const std::int64_t label = batch.labels[static_cast<std::size_t>(i)];
    if (label < 0) continue;
    ClassRows& one = classes[static_cast<std::size_t>(label)];
    if (one.rows.empty()) {
      one.mean.assign(width, 0);
      one.common.assign(width, 0);
      ++present;
    }
    one.rows.push_back(i);
    for (std::size_t k = 0; k < width; ++k) one.mean[k] += f.features.row(i)[k];
  }
  double loss = 0;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    ClassRows& one = classes[c];
    if (one.rows.empty()) continue;
    for (double& m : one.mean) m /= static_cast<double>(one.rows.size());
    const double part = state.values[c] <= 1 ? 1 : 1 - s.momentum;  // weight of this batch in the running mean
    const auto running = std::span(state.values).subspan(classes.size() + c * width, width);
    loss += compactness(f, one, running, part, s, 1 / present);
    loss += boundary(f, one, static_cast<std::int64_t>(c), s, 1 / present);
    if (f.gradient.empty()) continue;
    for (const std::int64_t i : one.rows)
      for (std::size_t k = 0; k < width; ++k) f.gradient.row(i)[k] += one.common[k];
  }
  return loss;
}

constexpr std::string_view k_norms[] = {"l2", "l1"};
constexpr Key k_keys[] = {
    {"alpha", 1, k_not_negative, "strength of the compactness", "released code"},
    {"beta", 1, k_not_negative, "strength of the margin", "released code"},
    {"gamma", 0.001, k_not_negative, "strength of the norm of the means", "released code"},
    {"delta_v", 0.5, k_not_negative, "distance from the mean that is free", "released code"},
    {"delta_d", 1.5, k_not_negative, "distance from the boundary that is asked for", "released code; its script: 6"},
    {"momentum", 0.99, {0, 1, false, true}, "of the running means", "released code"},
    {"norm", "l2", {}, "of features: of the distance and of the means", "released code", k_norms}};

KernelParams make_params(const KeyValues&, const ClassCounts&) { return {}; }

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  const Strengths strengths{.compactness = keys["alpha"],
                            .margin = keys["beta"],
                            .norm = keys["gamma"],
                            .within = keys["delta_v"],
                            .between = keys["delta_d"],
                            .momentum = keys["momentum"],
                            .l1 = keys.word("norm") == "l1"};
  LossHooks hooks;
  hooks.batch_term = [strengths](const BatchView& batch, const LossState& state) {
    return discriminative(batch, state, strengths);
  };
  keep_class_means(hooks, strengths.momentum, counts.classes());
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "lmd",
    .class_name = "LMD",
    .title = "large margin discriminative loss",
    .equation =
        "L = mean ce + alpha mean_c mean_{i: y[i] = c} max(|h[i] - mu[c]| - delta_v, 0)^2 + beta mean_c "
        "max_{j != c} max(0, delta_d + (z[j] - z[c])(mean h of c) / |w[c] - w[j]|) + gamma mean_c |mu[c]|",
    .paper =
        "Nguyen, Gamboa, Chhaibi, Zhang, Gratton, Giaccone: Large Margin Discriminative Loss for "
        "Classification, 2024, arXiv 2405.18499",
    .advice = "Compact features at a distance from the decision boundaries, on any linear head.",
    .pitfalls =
        "Running means mu are state, saved with a checkpoint, and move only in training (released code moves "
        "them in every forward pass). Not made for imbalance, but every class counts alike.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .needs = {.features = true, .head = true},
    .chunkable = false,
    .shardable = false,
};

}  // namespace ulmus::detail::lmd
