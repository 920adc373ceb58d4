#include "ulmus/trees/objective.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus {
namespace {

/// Every member that trees can be grown on, with default keys and with others.
std::vector<std::string> supported_specs() {
  std::vector<std::string> specs = losses_for_trees();
  for (const char* spec :
       {"ce+cb", "ce+inverse", "elm:lambda=0.5", "elm:lambda=-1,scale=3", "elm:placement=rival,scale=2",
        "ldam:scale=1,max_margin=2+cb", "vs:gamma=0.5,tau=1.5", "la:tau=2,scale=4", "cdt+inverse"})
    specs.emplace_back(spec);
  return specs;
}

Loss make_loss(const std::string& spec, std::vector<std::int64_t> counts) {
  return Loss(LossSpec::parse(spec), ClassCounts(std::move(counts)));
}

/// d loss / d z of one row in double, unreduced.
std::vector<double> gradient_of(const Loss& loss, const std::vector<double>& z, std::int64_t label) {
  std::vector<double> gradient(z.size());
  const auto classes = static_cast<std::int64_t>(z.size());
  loss.evaluate<double>({z.data(), 1, classes}, {.labels = {&label, 1}, .reduction = Reduction::none},
                        {gradient.data(), 1, classes});
  return gradient;
}

double weight_of(const Loss& loss, std::int64_t label) {
  return loss.class_weights().empty() ? 1 : loss.class_weights()[static_cast<std::size_t>(label)];
}

TEST(TreeObjective, SecondDerivativeEqualsFiniteDifferencesOfTheGradientForEveryLoss) {
  const std::vector<std::int64_t> counts = {400, 60, 7, 30};
  for (const std::string& spec : supported_specs()) {
    const Loss loss = make_loss(spec, counts);
    const double scale = loss.params().scale;
    Stream random(1, spec);
    for (int trial = 0; trial < 40; ++trial) {
      const std::int64_t label = trial % 4;
      std::vector<double> z(counts.size());
      for (double& value : z) value = 2 * random.normal() / scale;
      const std::vector<double> g = gradient_of(loss, z, label);
      for (std::size_t j = 0; j < z.size(); ++j) {
        const double step = 1e-5 / scale;
        const auto at = [&](double offset) {
          std::vector<double> moved = z;
          moved[j] += offset;
          return gradient_of(loss, moved, label)[j];
        };
        const double expected = (at(step) - at(-step)) / (2 * step);
        const double slope = loss.params().slope.empty() ? 1 : loss.params().slope[j];
        const double by_score = second_derivative(g[j] / scale, slope, weight_of(loss, label));
        EXPECT_NEAR(by_score * scale * scale, expected, 1e-6 * scale * scale * weight_of(loss, label) + 1e-12)
            << spec << " class " << j << " label " << label;
      }
    }
  }
}

TEST(TreeObjective, TwoClassesAreOneScoreWithTheDerivativesOfTheLossAlongIt) {
  for (const std::string& spec : supported_specs()) {
    const std::vector<std::int64_t> counts = {500, 20};
    Loss loss = make_loss(spec, counts);
    const double scale = loss.params().scale;
    const std::vector<std::int64_t> labels = {0, 1, 0, 1, 1};
    const std::vector<float> scores = {-3, -1.5F, 0.25F, 0.5F, 4};
    std::vector<float> gradient(5), hessian(5);
    TreeObjective objective(loss, Reduction::mean, labels, 1);
    objective.evaluate(scores, gradient, hessian);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto value = [&](double f) {
        const std::vector<double> z = {-f / 2 / scale, f / 2 / scale};
        return loss.evaluate<double>({z.data(), 1, 2}, {.labels = {&labels[i], 1}, .reduction = Reduction::none});
      };
      const double f = scores[i], step = 1e-4, weight = weight_of(loss, labels[i]);
      EXPECT_NEAR(gradient[i], (value(f + step) - value(f - step)) / (2 * step), 2e-6 * weight) << spec << " row " << i;
      const double second = (value(f + step) - 2 * value(f) + value(f - step)) / (step * step);
      if (loss.params().true_margin.empty())
        EXPECT_NEAR(hessian[i], second, 2e-5 * weight) << spec << " row " << i;
      else
        EXPECT_GE(hessian[i], second - 2e-5 * weight) << spec << " row " << i;
    }
  }
}

TEST(TreeObjective, AMarginsCurvatureIsThatOfAParabolaAboveTheLoss) {
  for (const double weight : {1.0, 3.5})
    for (double d = 0.01; d < 15; d += 0.37) {
      const double q = 1 / (1 + std::exp(-d)), value = std::log1p(std::exp(d));
      const double curvature = bounded_curvature(-weight * q, 1, weight) / weight;
      EXPECT_GE(curvature, q * (1 - q) - 1e-12);
      for (double to = -20; to < 20; to += 0.61) {
        const double parabola = value + q * (to - d) + curvature / 2 * (to - d) * (to - d);
        EXPECT_GE(parabola, std::log1p(std::exp(to)) - 1e-9) << "from " << d << " to " << to;
      }
    }
  EXPECT_NEAR(bounded_curvature(0.5, 1, 1), 0.25, 1e-12);
  EXPECT_EQ(bounded_curvature(0.2, 1, 1), second_derivative(0.2, 1, 1));
  EXPECT_GT(bounded_curvature(1, 1, 1), 0.02) << "a gradient that is rounded to its limit";
  EXPECT_EQ(bounded_curvature(0, 1, 0), 0);
}

TEST(TreeObjective, CrossEntropyHasTheDerivativesOfXgboostsSoftmax) {
  const std::vector<std::int64_t> labels = {0, 2, 1};
  const std::vector<float> scores = {0.5F, -1, 2, 0, 0, 0, 1, 3, -2};
  std::vector<float> gradient(9), hessian(9);
  TreeObjective objective(make_loss("ce", {5, 3, 2}), Reduction::weighted_mean, labels, 1);
  double sum = 0;
  const double loss = objective.evaluate(scores, gradient, hessian);
  for (std::size_t i = 0; i < 3; ++i) {
    double total = 0;
    for (std::size_t j = 0; j < 3; ++j) total += std::exp(scores[3 * i + j]);
    for (std::size_t j = 0; j < 3; ++j) {
      const double p = std::exp(scores[3 * i + j]) / total;
      const bool truth = static_cast<std::int64_t>(j) == labels[i];
      EXPECT_NEAR(gradient[3 * i + j], p - (truth ? 1 : 0), 1e-6);
      EXPECT_NEAR(hessian[3 * i + j], 2 * p * (1 - p), 1e-6);
      if (truth) sum -= std::log(p);
    }
  }
  EXPECT_NEAR(loss, sum / 3, 1e-6);
  EXPECT_NEAR(objective.accuracy(), 1.0 / 3, 1e-12);
}

TEST(TreeObjective, ClassWeightsAreOneOnAverageWithTheWeightedMean) {
  const std::vector<std::int64_t> labels = {0, 0, 0, 1};
  const std::vector<float> scores(4, 0);
  std::vector<float> gradient(4), hessian(4);
  TreeObjective objective(make_loss("ce+inverse", {3, 1}), Reduction::weighted_mean, labels, 1);
  objective.evaluate(scores, gradient, hessian);
  EXPECT_NEAR(gradient[3] / -gradient[0], 3, 1e-5);
  EXPECT_NEAR(hessian[0] + hessian[1] + hessian[2] + hessian[3], 4 * 0.25, 1e-6);
}

TEST(TreeObjective, RefusesByWhatALossComputesAndNamesThoseThatWillDo) {
  const std::map<std::string, std::string> reasons = {
      {"focal", "shape"},          {"poly1", "shape"},           {"ce:smoothing=0.1", "smooths"},
      {"arcface", "true logit"},   {"sphereface", "true logit"}, {"seesaw", "state"},
      {"ib", "features"},          {"logitnorm", "softmax"},     {"lade", "batch"},
      {"ce+rs", "+cb or +inverse"}};
  for (const auto& [spec, reason] : reasons) {
    try {
      require_tree_loss(make_loss(spec, {30, 20, 5}));
      ADD_FAILURE() << spec << " is taken";
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(message.find(reason), std::string::npos) << message;
      EXPECT_NE(message.find("ldam"), std::string::npos) << message;
    }
  }
  const std::vector<std::string> names = losses_for_trees();
  for (const char* name : {"ce", "bs", "la", "vs", "cdt", "ldam", "elm"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  EXPECT_FALSE(reason_against_trees(make_loss("elm:placement=rival", {3, 2, 1})).has_value());
}

TEST(TreeObjective, GivesTheSameBitsForAnyNumberOfThreads) {
  constexpr std::size_t k_rows = 3000, k_classes = 5;
  std::vector<std::int64_t> labels;
  std::vector<float> scores;
  Stream random(3, "scores");
  for (std::size_t i = 0; i < k_rows; ++i) {
    labels.push_back(static_cast<std::int64_t>(i % k_classes));
    for (std::size_t j = 0; j < k_classes; ++j) scores.push_back(static_cast<float>(random.normal()));
  }
  std::vector<float> first, second;
  for (const int threads : {1, 2}) {
    std::vector<float> gradient(scores.size()), hessian(scores.size());
    TreeObjective objective(make_loss("elm:lambda=0.5", {9, 7, 5, 3, 1}), Reduction::mean, labels, threads);
    objective.evaluate(scores, gradient, hessian);
    gradient.insert(gradient.end(), hessian.begin(), hessian.end());
    (threads == 1 ? first : second) = gradient;
  }
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace ulmus
