// The class-balanced loss: effective-number weights on a softmax, a sigmoid or a sigmoid focal loss.
#include <cmath>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {

KernelParams make_cb_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.class_weight = counts.effective_number_weights(keys["beta"])};
  if (keys.word("kind") == "softmax") return params;
  params.reduction = Reduction::mean;
  params.hooks.initial_bias = -std::log(std::max<double>(1, static_cast<double>(counts.classes()) - 1));
  const double gamma = keys.word("kind") == "focal" ? keys["gamma"] : 0;
  params.hooks.row_loss = [gamma](const Sample& sample, std::span<double> gradient) {
    double loss = 0;
    for (std::size_t j = 0; j < gradient.size(); ++j) {
      const double sign = j == static_cast<std::size_t>(sample.label) ? 1 : -1, x = sign * sample.logits[j];
      // c = -log p and 1 - p = exp(-softplus(x)), p = sigmoid(x): neither overflows nor loses what is small.
      const double c = softplus(-x), log_q = -softplus(x), q = std::exp(log_q);
      const double power = gamma == 0 ? 1 : std::exp(gamma * log_q);  // also where log_q is -infinity
      loss += power * c;
      gradient[j] = -sign * power * (q + gamma * std::exp(-c) * c);
    }
    return loss;
  };
  return params;
}

}  // namespace ulmus::detail
