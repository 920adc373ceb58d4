#include "train/weight_average.hpp"

#include <algorithm>

namespace ulmus::detail {

WeightAverage::WeightAverage(const Classifier& model, double decay) : model_(model), decay_(decay) {
  visit_tensors(
      *model_, [&](const std::string& name, const torch::Tensor& tensor) { average_[name] = tensor.detach().clone(); });
}

void WeightAverage::update(std::int64_t step) {
  const torch::NoGradGuard no_gradient;
  const auto steps = static_cast<double>(step);
  const double decay = std::min(decay_, (1 + steps) / (10 + steps));
  visit_tensors(*model_, [&](const std::string& name, const torch::Tensor& tensor) {
    torch::Tensor& average = average_.at(name);
    if (tensor.is_floating_point())
      average.lerp_(tensor.detach(), 1 - decay);
    else
      average.copy_(tensor);
  });
}

void WeightAverage::exchange() {
  const torch::NoGradGuard no_gradient;
  visit_tensors(*model_, [&](const std::string& name, torch::Tensor tensor) {
    torch::Tensor& average = average_.at(name);
    const torch::Tensor weights = tensor.detach().clone();
    tensor.copy_(average);
    average.copy_(weights);
  });
}

}  // namespace ulmus::detail
