// Large margin in softmax: cross entropy plus a regulariser that makes the incorrect classes equally improbable.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "loss/definition.hpp"
#include "loss/row_math.hpp"

namespace ulmus::detail::lm_softmax {
namespace {

constexpr Key k_keys[] = {{"lambda", 0.3, k_not_negative, "strength of the regulariser", "Kobayashi"},
                          {"lower", 0, k_any, "subtracted from the true logit first", "released code: none, or 1"}};

KernelParams make_params(const KeyValues&, const ClassCounts&) { return {}; }

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  LossHooks hooks;
  hooks.row_loss = [lambda = keys["lambda"], lowered = keys["lower"],
                    uniform = 1 / std::max(1.0, static_cast<double>(counts.classes()) - 1)](
                       const Sample& sample, std::span<double> gradient) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::copy(sample.logits.begin(), sample.logits.end(), gradient.begin());
    gradient[y] -= lowered;
    const double c = cross_entropy(gradient, sample.label);

    // q is the softmax over the incorrect classes, from which the gradient follows.
    std::vector<double> q(sample.logits.begin(), sample.logits.end());
    const double largest = exponentials(q, sample.label);
    const double sum = std::accumulate(q.begin(), q.end(), 0.0), log_sum = largest + std::log(sum);
    double value = 0, entropy = 0;
    for (std::size_t j = 0; j < q.size(); ++j) {
      if (j == y) continue;
      q[j] /= sum;
      const double log_q = sample.logits[j] - log_sum;
      value += (q[j] - uniform) * log_q;
      entropy += q[j] * log_q;
    }
    const double factor = lambda / 2 * sample.unweighted;
    for (std::size_t j = 0; j < q.size(); ++j)
      if (j != y) gradient[j] += factor * (q[j] * (sample.logits[j] - log_sum - entropy) + q[j] - uniform);
    return c + factor * value;
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "lm-softmax",
    .class_name = "LMSoftmax",
    .title = "large margin in softmax",
    .equation =
        "l = c + lambda / 2 sum_{j != y} (q[j] - 1 / (C - 1)) log q[j],  q the softmax over the wrong "
        "classes,  c the cross entropy with z[y] - lower",
    .paper = "Kobayashi: Large Margin In Softmax Cross-Entropy Loss, BMVC 2019",
    .advice = "A regulariser that needs no margin to be set.",
    .pitfalls =
        "Not made for imbalance. Class weights multiply c only; the regulariser is a mean over the samples. "
        "Two classes: it is 0.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .is_sum = false,
    .takes_masks = false,
    .shardable = false,
};

}  // namespace ulmus::detail::lm_softmax
