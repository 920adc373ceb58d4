// LADE: cross entropy with the prior, plus a regulariser over the whole batch.
#include <algorithm>
#include <cmath>
#include <limits>

#include "loss/definition.hpp"

namespace ulmus::detail::lade {
namespace {

constexpr double k_prior_floor = 1e-9, k_count_floor = 1e-8;  // from the released code

/// R = -sum over c of pi[c] (mean of z[c] over the samples of c - S[c] - lambda S[c]^2), with S[c] = logsumexp over the
/// batch of z[c] - log(pi[c] C) - log N. Subtracting a column's largest logit avoids overflow. Two passes over the
/// batch, and one for the gradient.
double regulariser(const BatchView& batch, const std::vector<double>& prior, double lambda, double factor) {
  const auto classes = static_cast<std::size_t>(batch.classes);
  std::vector<double> row(classes), largest(classes, -std::numeric_limits<double>::infinity()), sum(classes),
      own_sum(classes), own_count(classes);
  std::int64_t counted = 0;
  const auto each_row = [&](auto&& visit) {
    for (std::int64_t i = 0; i < batch.rows; ++i) {
      if (batch.labels[static_cast<std::size_t>(i)] < 0) continue;
      batch.read_logits(i, row);
      visit(i, static_cast<std::size_t>(batch.labels[static_cast<std::size_t>(i)]));
    }
  };
  each_row([&](std::int64_t, std::size_t label) {
    for (std::size_t c = 0; c < classes; ++c) largest[c] = std::max(largest[c], row[c]);
    own_sum[label] += row[label];
    ++own_count[label];
    ++counted;
  });
  each_row([&](std::int64_t, std::size_t) {
    for (std::size_t c = 0; c < classes; ++c) sum[c] += std::exp(row[c] - largest[c]);
  });
  double value = 0;
  std::vector<double> pull(classes);  // gradient of the softmax over the batch
  for (std::size_t c = 0; c < classes; ++c) {
    const double uniform = 1 / static_cast<double>(classes);
    const double s = largest[c] + std::log(sum[c]) - std::log(prior[c] + k_prior_floor) +
                     std::log(uniform + k_prior_floor) - std::log(static_cast<double>(counted));
    value -= prior[c] * (own_sum[c] / (own_count[c] + k_count_floor) - s - lambda * s * s);
    pull[c] = factor * prior[c] * (1 + 2 * lambda * s) / sum[c];
  }
  if (batch.add_gradient)
    each_row([&](std::int64_t i, std::size_t label) {
      const double own = factor * prior[label] / (own_count[label] + k_count_floor);
      for (std::size_t c = 0; c < classes; ++c) row[c] = pull[c] * std::exp(row[c] - largest[c]);
      row[label] -= own;
      batch.add_gradient(i, row);
    });
  return factor * value;
}

constexpr Key k_keys[] = {
    {"alpha", 0.1, k_not_negative, "strength of the regulariser", "LADE code, CIFAR-100 ratio 100"},
    {"lambda", 0.01, k_not_negative, "of its second term", "LADE code, CIFAR-100 ratio 100"}};

KernelParams make_params(const KeyValues&, const ClassCounts& counts) {
  KernelParams params;
  for (const double p : counts.prior()) params.offset.push_back(std::log(p + k_prior_floor));
  return params;
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  return {
      .batch_term = [prior = counts.prior(), lambda = keys["lambda"], alpha = keys["alpha"]](
                        const BatchView& batch, const LossState&) { return regulariser(batch, prior, lambda, alpha); }};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "lade",
    .class_name = "LADE",
    .title = "label distribution disentangling loss",
    .equation =
        "L = mean ce of z + log pi, plus alpha R over the batch,  R = -sum_c pi[c] (mean of z[c] over "
        "samples of c - S[c] - lambda S[c]^2),  S[c] = logsumexp_i(z[i, c] - log(pi[c] C)) - log N",
    .paper =
        "Hong, Han, Choi, Seo, Kim, Chang: Disentangling Label Distribution for Long-tailed Visual "
        "Recognition, CVPR 2021, arXiv 2012.00321",
    .advice = "Balanced softmax with a regulariser; large batches.",
    .pitfalls =
        "A loss of the whole batch: there is no loss of one sample, and shares of a batch do not add up to "
        "it. Follows the released code, which differs from the paper: the importance weight is by the "
        "logit's class, and classes absent from the batch count. Predict with z.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .is_sum = false,
    .ignores_offset = false,
    .takes_masks = false,
    .chunkable = false,
    .shardable = false,
};

}  // namespace ulmus::detail::lade
