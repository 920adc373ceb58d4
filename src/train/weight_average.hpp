#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "ulmus/nn/model.hpp"

namespace ulmus::detail {

/// Calls visit(name, tensor) for every parameter and buffer.
template <class Visit>
void visit_tensors(const torch::nn::Module& model, Visit&& visit) {
  for (const auto& item : model.named_parameters()) visit(item.key(), item.value());
  for (const auto& item : model.named_buffers()) visit(item.key(), item.value());
}

/// An exponential moving average of a model's parameters and floating-point buffers; integer buffers are copied from
/// the model. The model must outlive it and keep its tensors.
class WeightAverage {
 public:
  /// Starts from the current weights.
  WeightAverage(const Classifier& model, double decay);

  /// After the 0-based `step` of the whole training: average = d * average + (1 - d) * weights, with d the smaller of
  /// the decay and (1 + step) / (10 + step), so that in a short training the initial weights lose their influence.
  void update(std::int64_t step);

  /// Swaps the average with the model's weights.
  void exchange();

  const std::map<std::string, torch::Tensor>& tensors() const { return average_; }

 private:
  Classifier model_;
  double decay_;
  std::map<std::string, torch::Tensor> average_;
};

/// Puts the averaged weights into the model for its lifetime; does nothing without an average.
class AveragedWeights {
 public:
  explicit AveragedWeights(WeightAverage* average) : average_(average) {
    if (average_) average_->exchange();
  }
  ~AveragedWeights() {
    if (average_) average_->exchange();
  }
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  WeightAverage* average_;
};

}  // namespace ulmus::detail
