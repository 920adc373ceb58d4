#include "train/sharpness.hpp"

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace ulmus::detail {
namespace {

using torch::Tensor;

/// Tensors with copies of their values, which come back when it ends, also by an exception.
class Restored {
 public:
  void add(const Tensor& tensor) { tensors_.emplace_back(tensor, tensor.detach().clone()); }
  ~Restored() {
    const torch::NoGradGuard no_gradient;
    for (auto& [tensor, before] : tensors_) tensor.copy_(before);
  }
  Restored() = default;
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;

 private:
  std::vector<std::pair<Tensor, Tensor>> tensors_;
};

/// The parameters that have a gradient.
std::vector<Tensor> with_gradient(const torch::optim::Optimizer& optimizer) {
  std::vector<Tensor> parameters;
  for (const auto& group : optimizer.param_groups())
    for (const Tensor& parameter : group.params())
      if (parameter.grad().defined()) parameters.push_back(parameter);
  return parameters;
}

/// The gradient of `backward` at w + rho g / |g|, g the present one. False where g is 0 or not finite; it then stays.
bool gradient_above(torch::optim::Optimizer& optimizer, const std::vector<Tensor>& parameters, double rho,
                    const std::function<void()>& backward) {
  double squares = 0;
  for (const Tensor& parameter : parameters) squares += std::pow(parameter.grad().norm().item<double>(), 2);
  const double norm = std::sqrt(squares);
  if (!(norm > 0) || !std::isfinite(norm)) return false;
  Restored weights;
  {
    const torch::NoGradGuard no_gradient;
    for (Tensor parameter : parameters) {
      weights.add(parameter);
      parameter.add_(parameter.grad(), rho / norm);
    }
  }
  optimizer.zero_grad();
  backward();
  return true;
}

}  // namespace

void sharpness_aware_gradient(torch::optim::Optimizer& optimizer, const torch::nn::Module& model, double rho,
                              const std::function<void()>& backward) {
  Restored buffers;
  for (const Tensor& buffer : model.buffers()) buffers.add(buffer);
  gradient_above(optimizer, with_gradient(optimizer), rho, backward);
}

void focal_sharpness_aware_gradient(torch::optim::Optimizer& optimizer, const torch::nn::Module& model, double rho,
                                    double sharpness, const std::function<void()>& backward) {
  Restored buffers;
  for (const Tensor& buffer : model.buffers()) buffers.add(buffer);
  const std::vector<Tensor> parameters = with_gradient(optimizer);
  std::vector<Tensor> rest;  // of L - sharpness F
  for (const Tensor& parameter : parameters) rest.push_back(parameter.grad().clone());
  optimizer.zero_grad();
  backward();
  for (std::size_t i = 0; i < parameters.size(); ++i) rest[i].sub_(parameters[i].grad(), sharpness);
  gradient_above(optimizer, parameters, rho, backward);
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].grad().mul_(sharpness).add_(rest[i]);
}

Tensor focal_class_weights(std::span<const std::int64_t> counts, double gamma) {
  const double samples = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  std::vector<float> weights;
  for (const std::int64_t count : counts)
    weights.push_back(static_cast<float>(std::pow(1 - static_cast<double>(count) / samples, gamma)));
  return torch::tensor(weights);
}

Tensor with_row_gradients(const Tensor& logits, const Tensor& labels, const Tensor& weights) {
  const Tensor values = logits.detach();
  return values + weights.index_select(0, labels).unsqueeze(1) * (logits - values);
}

}  // namespace ulmus::detail
