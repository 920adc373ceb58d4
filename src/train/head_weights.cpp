#include "train/head_weights.hpp"

#include <algorithm>
#include <cmath>

#include "train/forward.hpp"
#include "ulmus/eval/evaluator.hpp"

namespace ulmus::detail {

torch::Tensor unit_rows(const torch::Tensor& rows) {
  namespace F = torch::nn::functional;
  return F::normalize(rows, F::NormalizeFuncOptions().dim(1).eps(k_smallest_norm));
}

HeadWeights head_of(Classifier& model) {
  const HeadInputs inputs = model->head_inputs({});
  return {.kind = inputs.bias.defined() ? Head::linear : Head::cosine,
          .weight = inputs.weight.detach(),
          .bias = inputs.bias.defined() ? inputs.bias.detach() : torch::Tensor()};
}

void set_head(Classifier& model, const HeadWeights& head) {
  HeadWeights target = head_of(model);
  target.weight.copy_(head.weight);
  if (target.bias.defined()) target.bias.copy_(head.bias);
}

torch::Tensor head_output(const HeadWeights& head, const torch::Tensor& features) {
  const torch::NoGradGuard no_gradient;
  return head.kind == Head::cosine ? unit_rows(features).mm(unit_rows(head.weight).t())
                                   : torch::addmm(head.bias, features, head.weight.t());
}

HeadWeights tau_normalised(const HeadWeights& head, double tau) {
  const torch::NoGradGuard no_gradient;
  const torch::Tensor length = head.weight.norm(2, {1}, true).clamp_min(k_smallest_norm);
  return {.kind = Head::linear, .weight = head.weight / length.pow(tau), .bias = torch::zeros_like(head.bias)};
}

Evaluation evaluate_head(const HeadWeights& head, const FeatureSet& set, const ClassCounts& counts, double scale) {
  Evaluator evaluator(counts, {.scale = scale});
  for_each_batch(set, [&](const torch::Tensor& x, std::span<const std::int64_t> labels) {
    const torch::Tensor logits = head_output(head, x).contiguous();
    evaluator.add(view_of(logits), labels);
  });
  return evaluator.finish();
}

std::size_t best_evaluation(const std::vector<Evaluation>& evaluations) {
  const auto better = [](const Evaluation& a, const Evaluation& b) {
    return a.balanced_accuracy != b.balanced_accuracy ? a.balanced_accuracy > b.balanced_accuracy : a.nll < b.nll;
  };
  return static_cast<std::size_t>(std::min_element(evaluations.begin(), evaluations.end(), better) -
                                  evaluations.begin());
}

}  // namespace ulmus::detail
