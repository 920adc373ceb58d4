#include "train/sharpness.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <vector>

#include "train/optimizer.hpp"
#include "ulmus/nn/model.hpp"

namespace ulmus::detail {
namespace {

constexpr std::size_t k_size = 5;
using Vector = std::array<double, k_size>;

/// f(w) = 1/2 sum_i a[i] w[i]^2 over two tensors of 2 and 3 numbers: its gradient at v is a[i] v[i].
struct Quadratic : torch::nn::Module {
  Quadratic() {
    first = register_parameter("first", torch::tensor({1.0, -2.0}, torch::kDouble));
    second = register_parameter("second", torch::tensor({0.5, 3.0, -1.0}, torch::kDouble));
  }
  torch::Tensor value() const {
    const auto a = torch::tensor({0.5, 1.0}, torch::kDouble), b = torch::tensor({2.0, 0.1, 4.0}, torch::kDouble);
    return 0.5 * ((a * first.square()).sum() + (b * second.square()).sum());
  }
  Vector weights() const {
    Vector all;
    const auto joined = torch::cat({first.detach(), second.detach()});
    for (std::size_t i = 0; i < k_size; ++i) all[i] = joined[static_cast<std::int64_t>(i)].item<double>();
    return all;
  }
  torch::Tensor first, second;
};

constexpr Vector k_start = {1, -2, 0.5, 3, -1}, k_curvature = {0.5, 1, 2, 0.1, 4};

/// a (w + rho g / |g|) with g = a w, by hand.
Vector sharp_gradient(const Vector& w, double rho) {
  Vector gradient;
  double squares = 0;
  for (std::size_t i = 0; i < k_size; ++i) squares += std::pow(k_curvature[i] * w[i], 2);
  for (std::size_t i = 0; i < k_size; ++i)
    gradient[i] = k_curvature[i] * (w[i] + rho * k_curvature[i] * w[i] / std::sqrt(squares));
  return gradient;
}

/// Trains the quadratic and compares the weights of every step with those of `by_hand`, which takes a step on a
/// gradient.
void expect_steps(torch::optim::Optimizer& optimizer, Quadratic& model,
                  const std::function<void(Vector& w, const Vector& gradient, int step)>& by_hand) {
  constexpr double k_rho = 0.3;
  Vector expected = k_start;
  for (int step = 1; step <= 25; ++step) {
    optimizer.zero_grad();
    model.value().backward();
    sharpness_aware_gradient(optimizer, model, k_rho, [&] { model.value().backward(); });
    optimizer.step();
    by_hand(expected, sharp_gradient(expected, k_rho), step);
    const Vector weights = model.weights();
    for (std::size_t i = 0; i < k_size; ++i) EXPECT_NEAR(weights[i], expected[i], 1e-12) << "step " << step;
  }
}

TEST(Sharpness, OnAQuadraticSgdFollowsTheClosedForm) {
  Quadratic model;
  torch::optim::SGD optimizer({model.first}, torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(0.01));
  optimizer.add_param_group(torch::optim::OptimizerParamGroup({model.second}));
  Vector velocity{};
  expect_steps(optimizer, model, [&](Vector& w, const Vector& gradient, int) {
    for (std::size_t i = 0; i < k_size; ++i) {
      velocity[i] = 0.9 * velocity[i] + gradient[i] + 0.01 * w[i];
      w[i] -= 0.05 * velocity[i];
    }
  });
}

TEST(Sharpness, OnAQuadraticAdamwFollowsTheClosedForm) {
  Quadratic model;
  torch::optim::AdamW optimizer({model.first, model.second}, torch::optim::AdamWOptions(0.02).weight_decay(0.1));
  Vector mean{}, square{};
  expect_steps(optimizer, model, [&](Vector& w, const Vector& gradient, int step) {
    for (std::size_t i = 0; i < k_size; ++i) {
      w[i] *= 1 - 0.02 * 0.1;
      mean[i] = 0.9 * mean[i] + 0.1 * gradient[i];
      square[i] = 0.999 * square[i] + 0.001 * gradient[i] * gradient[i];
      const double m = mean[i] / (1 - std::pow(0.9, step)), v = square[i] / (1 - std::pow(0.999, step));
      w[i] -= 0.02 * m / (std::sqrt(v) + 1e-8);
    }
  });
}

TEST(FocalSharpness, OnAQuadraticFollowsTheClosedForm) {
  // Of two "classes", the tensors, with the weights 0.2 and 0.9 in F.
  Quadratic model;
  torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.05));
  constexpr double k_rho = 0.3, k_sharpness = 0.7;
  constexpr Vector k_focal = {0.2, 0.2, 0.9, 0.9, 0.9};
  const auto backward = [&] {
    const auto a = torch::tensor({0.5, 1.0}, torch::kDouble), b = torch::tensor({2.0, 0.1, 4.0}, torch::kDouble);
    (0.5 * (0.2 * (a * model.first.square()).sum() + 0.9 * (b * model.second.square()).sum())).backward();
  };
  Vector expected = k_start;
  for (int step = 1; step <= 25; ++step) {
    optimizer.zero_grad();
    model.value().backward();
    focal_sharpness_aware_gradient(optimizer, model, k_rho, k_sharpness, backward);
    optimizer.step();
    Vector of_focal, next;
    double squares = 0;
    for (std::size_t i = 0; i < k_size; ++i) {
      of_focal[i] = k_focal[i] * k_curvature[i] * expected[i];
      squares += of_focal[i] * of_focal[i];
    }
    for (std::size_t i = 0; i < k_size; ++i) {
      const double above = k_focal[i] * k_curvature[i] * (expected[i] + k_rho * of_focal[i] / std::sqrt(squares));
      next[i] = expected[i] - 0.05 * (k_curvature[i] * expected[i] + k_sharpness * (above - of_focal[i]));
    }
    expected = next;
    const Vector weights = model.weights();
    for (std::size_t i = 0; i < k_size; ++i) EXPECT_NEAR(weights[i], expected[i], 1e-12) << "step " << step;
  }
}

TEST(FocalSharpness, WeighsClassesByTheirShare) {
  const std::vector<std::int64_t> counts = {6, 3, 1};
  const torch::Tensor weights = focal_class_weights(counts, 2);
  EXPECT_TRUE(torch::allclose(weights, torch::tensor({0.16f, 0.49f, 0.81f})));
  const torch::Tensor logits = torch::randn({2, 3}).requires_grad_(), labels = torch::tensor({2, 0}, torch::kInt64);
  const torch::Tensor same = with_row_gradients(logits, labels, weights);
  EXPECT_TRUE(torch::equal(same, logits));
  same.sum().backward();
  EXPECT_TRUE(torch::allclose(logits.grad(), torch::tensor({{0.81f, 0.81f, 0.81f}, {0.16f, 0.16f, 0.16f}})));
}

TEST(Sharpness, LeavesAStationaryPointAlone) {
  Quadratic model;
  const torch::NoGradGuard no_gradient;
  model.first.zero_();
  model.second.zero_();
  torch::optim::SGD optimizer(model.parameters(), torch::optim::SGDOptions(0.1));
  {
    const torch::AutoGradMode with_gradient(true);
    model.value().backward();
  }
  int passes = 0;
  sharpness_aware_gradient(optimizer, model, 0.1, [&] { ++passes; });
  EXPECT_EQ(passes, 0);
}

class OnANetwork : public ::testing::Test {
 protected:
  OnANetwork() {
    initialise(model_, 1);
    model_->train();
  }
  void backward() { model_->forward(images_).square().mean().backward(); }
  std::vector<torch::Tensor> tensors() const {
    std::vector<torch::Tensor> all;
    for (const auto& tensor : model_->parameters()) all.push_back(tensor.detach().clone());
    for (const auto& tensor : model_->buffers()) all.push_back(tensor.clone());
    return all;
  }
  static bool equal(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return torch::equal(x, y); });
  }
  Classifier model_ = make_model({.name = "conv3", .channels = 1, .height = 12, .width = 12, .classes = 4});
  torch::Tensor images_ = torch::arange(8 * 144, torch::kFloat).remainder(7).view({8, 1, 12, 12});
  torch::optim::SGD optimizer_{model_->parameters(), torch::optim::SGDOptions(0.1)};
};

TEST_F(OnANetwork, WeightsAndBatchNormStatisticsAreThoseOfTheFirstPass) {
  backward();
  const auto before = tensors();
  const torch::Tensor plain = model_->parameters()[0].grad().clone();
  sharpness_aware_gradient(optimizer_, *model_, 0.1, [&] {
    EXPECT_FALSE(equal(tensors(), before));
    backward();
  });
  EXPECT_TRUE(equal(tensors(), before));
  EXPECT_FALSE(torch::equal(model_->parameters()[0].grad(), plain));
}

TEST_F(OnANetwork, FocalWithoutWeightsIsThePlainOne) {
  const auto gradients = [&] {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor& parameter : model_->parameters()) all.push_back(parameter.grad().clone());
    return all;
  };
  const auto again = [&] { backward(); };
  backward();
  const auto before = tensors();
  sharpness_aware_gradient(optimizer_, *model_, 0.1, again);
  const auto plain = gradients();
  optimizer_.zero_grad();
  backward();
  focal_sharpness_aware_gradient(optimizer_, *model_, 0.1, 1, again);
  const auto focal = gradients();
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(torch::allclose(focal[i], plain[i], 1e-4, 1e-6));
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(torch::equal(tensors()[i], before[i]));
}

TEST_F(OnANetwork, AnErrorInTheSecondPassLeavesTheWeights) {
  backward();
  const auto before = tensors();
  EXPECT_THROW(sharpness_aware_gradient(optimizer_, *model_, 0.1, [] { throw std::runtime_error("no memory"); }),
               std::runtime_error);
  EXPECT_TRUE(equal(tensors(), before));
}

TEST_F(OnANetwork, LayersWithoutAGradientDoNotMove) {
  for (torch::Tensor& parameter : backbone_parameters(*model_)) parameter.requires_grad_(false);
  backward();
  const torch::Tensor backbone = backbone_parameters(*model_)[0].clone();
  sharpness_aware_gradient(optimizer_, *model_, 0.1, [&] {
    EXPECT_TRUE(torch::equal(backbone_parameters(*model_)[0], backbone));
    backward();
  });
}

TEST_F(OnANetwork, HeadAndBackboneHaveRatesOfTheirOwn) {
  RunOptions options;
  options.optimizer = "sgd";
  options.momentum = 0;
  options.weight_decay = 0;
  for (const auto& optimizer : {make_optimizer(*model_, options, {model_->head_inputs({}).bias})}) {
    set_rates(*optimizer, 0.5, 0.05);
    const auto before = tensors();
    optimizer->zero_grad();
    backward();
    optimizer->step();
    const auto names = model_->named_parameters();
    for (std::size_t i = 0; i < names.size(); ++i) {
      const double rate = names[i].key().starts_with("fc.") ? 0.5 : 0.05;
      const torch::Tensor moved = before[i] - names[i].value().detach(), expected = rate * names[i].value().grad();
      EXPECT_TRUE(torch::allclose(moved, expected, 1e-3, 1e-6)) << names[i].key();
    }
  }
}

}  // namespace
}  // namespace ulmus::detail
