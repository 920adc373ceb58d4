// Large margin in softmax: cross entropy, and a regulariser that makes the wrong classes equally improbable.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_lm_softmax_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params;
  params.hooks.row_loss = [lambda = keys["lambda"], lowered = keys["lower"],
                           uniform = 1 / std::max(1.0, static_cast<double>(counts.classes()) - 1)](
                              const Sample& sample, std::span<double> gradient) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::copy(sample.logits.begin(), sample.logits.end(), gradient.begin());
    gradient[y] -= lowered;
    const double c = cross_entropy(gradient, sample.label);

    // q is the softmax over the wrong classes: the gradient's own shares.
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
  return params;
}

}  // namespace ulmus::detail
