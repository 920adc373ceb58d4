// DRO-LT: cross entropy plus a loss that keeps each class's features closer to its prototype than other samples are,
// with a radius for the uncertainty of the prototype.
#include "loss/losses/dro_lt.hpp"

#include <cmath>
#include <limits>

#include "loss/class_means.hpp"
#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::dro_lt {

double robust_loss(const BatchView& batch, std::span<const double> means, std::span<const double> radius,
                   double temperature, double factor) {
  const auto& x = batch.features.features;
  const auto rows = static_cast<std::size_t>(batch.rows);
  std::vector<double> members(static_cast<std::size_t>(batch.classes));
  for (const std::int64_t label : batch.labels)
    if (label >= 0) ++members[static_cast<std::size_t>(label)];
  const auto weight_of = [&](std::int64_t c) {
    return batch.class_weights.empty() ? 1 : batch.class_weights[static_cast<std::size_t>(c)];
  };
  double present = 0;  // total weight of the classes in the batch
  for (std::int64_t c = 0; c < batch.classes; ++c)
    if (members[static_cast<std::size_t>(c)] > 0) present += weight_of(c);

  double loss = 0;
  std::vector<double> distance(rows), share(rows);
  for (std::int64_t c = 0; c < batch.classes; ++c) {
    const double n = members[static_cast<std::size_t>(c)];
    if (n == 0 || weight_of(c) == 0) continue;
    const double* mean = means.data() + c * x.columns;
    const double share_of_class = weight_of(c) / present;
    double own = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      double square = 0;
      for (std::int64_t k = 0; k < x.columns; ++k)
        square +=
            (x.row(static_cast<std::int64_t>(i))[k] - mean[k]) * (x.row(static_cast<std::int64_t>(i))[k] - mean[k]);
      distance[i] = std::sqrt(square);
      const bool of_class = batch.labels[i] == c;
      share[i] = batch.labels[i] < 0
                     ? -std::numeric_limits<double>::infinity()
                     : (-distance[i] - (of_class ? radius[static_cast<std::size_t>(c)] : 0)) / temperature;
      if (of_class) own += share[i];
    }
    loss += share_of_class * (softmax(share) - own / n);
    if (batch.features.gradient.empty()) continue;
    for (std::size_t i = 0; i < rows; ++i) {
      if (distance[i] == 0 || batch.labels[i] < 0) continue;
      // The derivative of the class's loss with respect to d / T is share[i] - [y[i] = c] / n, and d decreases with the
      // distance.
      const double pull = factor * share_of_class * -(share[i] - (batch.labels[i] == c ? 1 / n : 0)) / temperature;
      double* gradient = batch.features.gradient.row(static_cast<std::int64_t>(i));
      for (std::int64_t k = 0; k < x.columns; ++k)
        gradient[k] += pull * (x.row(static_cast<std::int64_t>(i))[k] - mean[k]) / distance[i];
    }
  }
  return factor * loss;
}

namespace {

constexpr Key k_keys[] = {
    {"alpha", 0.1, k_not_negative, "strength of the feature loss", "ours"},
    {"temperature", 0.07, k_positive, "T", "DRO-LT code"},
    {"epsilon", 1, k_not_negative, "radius of a class with one sample", "ours; the paper: const / sqrt(n)"},
    {"momentum", 0.9, {0, 1, false, true}, "of the running means", "ours"},
    {"from", 0.5, {0, 1, false, true}, "fraction of the epochs after which it begins", "ours: the second stage"},
    k_scale};

KernelParams make_params(const KeyValues& keys, const ClassCounts&) { return {.scale = keys["scale"]}; }

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  std::vector<double> radius = positive_counts(counts);
  for (double& r : radius) r = keys["epsilon"] / std::sqrt(r);
  const std::int64_t classes = counts.classes();
  LossHooks hooks;
  hooks.batch_term = [classes, radius = std::move(radius), temperature = keys["temperature"], alpha = keys["alpha"]](
                         const BatchView& batch, const LossState& state) {
    return robust_loss(batch, std::span(state.values).subspan(static_cast<std::size_t>(classes)), radius, temperature,
                       alpha);
  };
  keep_class_means(hooks, keys["momentum"], classes);
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "dro-lt",
    .class_name = "DROLT",
    .title = "DRO-LT, robust prototypes",
    .equation =
        "L = mean ce + alpha mean_c mean_{i: y[i] = c} -log softmax_i(d[c, i] / T),  "
        "d[c, i] = -|mu[c] - h[i]| - epsilon / sqrt(n[c]) [y[i] = c],  the softmax over the samples of the "
        "batch",
    .paper = "Samuel, Chechik: Distributional Robustness Loss for Long-tail Learning, ICCV 2021, arXiv 2104.03066",
    .advice = "A second stage after cross entropy that tidies the features of rare classes.",
    .pitfalls =
        "Prototypes mu are running means of the features (state, saved with a checkpoint); the paper takes "
        "them once an epoch, and released code learns the radii. Classes absent from the batch are left out "
        "(released code breaks). alpha and momentum are ours.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .needs = {.features = true},
    .chunkable = false,
    .shardable = false,
};

}  // namespace ulmus::detail::dro_lt
