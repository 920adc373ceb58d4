#include "train/head_fit.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "temporary_folder.hpp"
#include "train/checkpointed_model.hpp"
#include "train/derived_options.hpp"
#include "train/trainer.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/data/npy_writer.hpp"
#include "ulmus/nn/cosine_linear.hpp"
#include "ulmus/torch/margin_loss.hpp"
#include "ulmus/train/schedule.hpp"

namespace ulmus::detail {
namespace {

const std::vector<std::int64_t> k_counts = {60, 20, 6};

/// Three noisy clouds around unit vectors; rare classes have few points.
FeatureSet clouds(double noise, std::uint64_t seed, const std::vector<std::int64_t>& counts = k_counts) {
  torch::manual_seed(seed);
  std::vector<torch::Tensor> parts;
  std::vector<std::int64_t> labels;
  for (std::size_t j = 0; j < counts.size(); ++j) {
    auto part = noise * torch::randn({counts[j], 5});
    part.select(1, static_cast<std::int64_t>(j)) += 1;
    parts.push_back(part);
    labels.insert(labels.end(), static_cast<std::size_t>(counts[j]), static_cast<std::int64_t>(j));
  }
  return feature_set_of(torch::cat(parts), std::move(labels), {"a", "b", "c"});
}

/// All samples of the set, [N, D].
torch::Tensor table_of(const FeatureSet& set) {
  std::vector<torch::Tensor> batches;
  for_each_batch(set, [&](const torch::Tensor& x, std::span<const std::int64_t>) { batches.push_back(x.clone()); });
  return torch::cat(batches);
}

/// The fit implemented with LibTorch's modules, autograd and optimizer.
HeadWeights reference_fit(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, HeadWeights head,
                          const HeadFitOptions& options) {
  const auto leaf = [](const torch::Tensor& of) { return of.defined() ? of.clone().requires_grad_() : of; };
  const auto weight = leaf(head.weight), bias = leaf(head.bias);
  std::vector<torch::Tensor> parameters = {weight};
  if (bias.defined()) parameters.push_back(bias);
  torch::optim::SGD optimizer(
      parameters, torch::optim::SGDOptions(*options.lr).momentum(options.momentum).weight_decay(options.weight_decay));
  LossModule loss(Loss(spec, counts), Loss(spec, counts).params().reduction);
  loss->set_epoch(99, 100);
  namespace F = torch::nn::functional;
  const auto unit = F::NormalizeFuncOptions().dim(1).eps(1e-12);
  const torch::Tensor table = table_of(train);
  const std::vector<std::int64_t>&all = train.indices, &classes = train.data.labels();
  const std::int64_t rows = table.size(0);
  const std::int64_t steps = (rows + options.batch_size - 1) / options.batch_size;
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    const auto order =
        sample_epoch(options.sampler, all, classes, {.seed = options.seed, .epoch = epoch, .epochs = options.epochs});
    for (std::int64_t step = 0; step < steps; ++step) {
      const std::int64_t first = step * options.batch_size, last = std::min(rows, first + options.batch_size);
      std::vector<std::int64_t> picked(order.begin() + first, order.begin() + last), labels;
      for (const std::int64_t i : picked) labels.push_back(classes[static_cast<std::size_t>(i)]);
      const auto x = table.index_select(0, torch::tensor(picked));
      const auto z =
          bias.defined() ? F::linear(x, weight, bias) : F::linear(F::normalize(x, unit), F::normalize(weight, unit));
      static_cast<torch::optim::SGDOptions&>(optimizer.param_groups()[0].options())
          .lr(learning_rate({.kind = LearningRateSchedule::Kind::cosine, .base = *options.lr, .warmup = 0}, epoch,
                            options.epochs, step, steps));
      optimizer.zero_grad();
      loss(z, torch::tensor(labels), HeadInputs{.features = x, .weight = weight, .bias = bias}).backward();
      optimizer.step();
    }
  }
  return {.kind = head.kind, .weight = weight.detach(), .bias = bias.defined() ? bias.detach() : bias};
}

TEST(HeadFit, TakesTheStepsOfAutogradAndLibTorchsSgd) {
  const FeatureSet train = clouds(0.3, 1);
  const ClassCounts counts(k_counts);
  const HeadFitOptions options{.epochs = 3, .batch_size = 32, .lr = 0.05, .weight_decay = 1e-2, .seed = 5};
  HeadFitOptions untrained = options;
  untrained.epochs = 0;
  // Cosine margins with deferred weights, adjusted linear logits, a loss that reads the head, a loss with state.
  for (const char* text : {"elm:lambda=0.5+drw", "la:tau=1.5", "ib", "seesaw"}) {
    const LossSpec spec = LossSpec::parse(text);
    const Head kind = spec.choose_head("");
    const HeadWeights first = fit_head(train, spec, counts, kind, untrained);
    const HeadWeights ours = fit_head(train, spec, counts, kind, options);
    const HeadWeights theirs = reference_fit(train, spec, counts, first, options);
    EXPECT_FALSE(torch::allclose(first.weight, ours.weight, 1e-2, 1e-2)) << text;
    EXPECT_TRUE(torch::allclose(ours.weight, theirs.weight, 1e-4, 1e-5)) << text << ours.weight << theirs.weight;
    if (kind == Head::linear) {
      EXPECT_TRUE(torch::allclose(ours.bias, theirs.bias, 1e-4, 1e-5)) << text;
    }
  }
}

TEST(HeadFit, SameSeedSameBits) {
  const FeatureSet train = clouds(0.3, 1);
  const ClassCounts counts(k_counts);
  const LossSpec spec = LossSpec::parse("elm+drw");
  const auto weight = [&](std::uint64_t seed) {
    return fit_head(train, spec, counts, Head::cosine, {.epochs = 2, .seed = seed}).weight;
  };
  EXPECT_TRUE(torch::equal(weight(3), weight(3)));
  EXPECT_FALSE(torch::equal(weight(3), weight(4)));
}

TEST(HeadFit, TrainsOnTheViewsInTurn) {
  const FeatureSet first = clouds(0.3, 1), second = clouds(0.3, 2);
  const ClassCounts counts(k_counts);
  const auto weight = [&](std::vector<Dataset> views, std::int64_t epochs) {
    FeatureSet set = clouds(0.3, 3);
    set.views = std::move(views);
    return fit_head(set, LossSpec::parse("elm"), counts, Head::cosine,
                    {.epochs = epochs, .schedule = LearningRateSchedule::Kind::constant, .seed = 3})
        .weight;
  };
  const auto alone = fit_head(first, LossSpec::parse("elm"), counts, Head::cosine,
                              {.epochs = 1, .schedule = LearningRateSchedule::Kind::constant, .seed = 3});
  EXPECT_TRUE(torch::equal(weight({first.data, second.data}, 1), alone.weight));
  EXPECT_TRUE(torch::equal(weight({first.data, second.data}, 4),
                           weight({first.data, second.data, first.data, second.data}, 4)));
  EXPECT_FALSE(torch::equal(weight({first.data, second.data}, 2), weight({first.data}, 2)));
}

TEST(HeadFit, BalancedSamplingServesTheRareClasses) {
  const FeatureSet train = clouds(0.6, 1), evaluated = clouds(0.6, 2, {200, 200, 200});
  const ClassCounts counts(k_counts);
  const LossSpec ce = LossSpec::parse("ce");
  HeadFitOptions options{.epochs = 40, .batch_size = 16};
  const Evaluation plain = evaluate_head(fit_head(train, ce, counts, Head::linear, options), evaluated, counts, 1);
  options.sampler = {.kind = Sampler::Kind::balanced};
  const Evaluation balanced = evaluate_head(fit_head(train, ce, counts, Head::linear, options), evaluated, counts, 1);
  EXPECT_GT(*balanced.classes[2].recall, *plain.classes[2].recall);
  EXPECT_GT(balanced.balanced_accuracy, plain.balanced_accuracy);
}

TEST(HeadFit, ClassScalesKeepTheDirectionsAndRaiseTheRare) {
  const FeatureSet train = clouds(0.6, 1);
  const ClassCounts counts(k_counts);
  const LossSpec ce = LossSpec::parse("ce");
  const HeadWeights trained = fit_head(train, ce, counts, Head::linear, {.epochs = 40, .batch_size = 16});
  const HeadWeights scaled = fit_class_scales(train, ce, counts, trained,
                                              {.epochs = 40, .batch_size = 16, .sampler = {Sampler::Kind::balanced}});
  const auto factor = scaled.bias / trained.bias;
  EXPECT_TRUE(torch::allclose(scaled.weight, trained.weight * factor.unsqueeze(1), 1e-4, 1e-5));
  EXPECT_GT(factor[2].item<float>(), factor[0].item<float>());
}

TEST(HeadFit, TauGoesFromTheTrainedWeightsToUnitLength) {
  const HeadWeights head{.weight = torch::tensor({{3.f, 4.f}, {0.f, 2.f}}), .bias = torch::ones({2})};
  EXPECT_TRUE(torch::equal(tau_normalised(head, 0).weight, head.weight));
  EXPECT_TRUE(torch::allclose(tau_normalised(head, 1).weight, torch::tensor({{0.6f, 0.8f}, {0.f, 1.f}})));
  EXPECT_TRUE(torch::allclose(tau_normalised(head, 0.5).weight.norm(2, {1}), torch::tensor({5.f, 2.f}).sqrt()));
  EXPECT_EQ(tau_normalised(head, 1).bias.abs().sum().item<float>(), 0);
}

TEST(HeadFit, ALossThatIsNotFiniteIsNamed) {
  try {
    fit_head(clouds(0.3, 1), LossSpec::parse("ce"), ClassCounts(k_counts), Head::linear,
             {.batch_size = 16, .lr = 1e38});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    EXPECT_NE(std::string(error.what()).find("with ce is"), std::string::npos) << error.what();
  }
}

TEST(HeadFit, TheBestHasTheHighestBalancedAccuracyThenTheSmallestNll) {
  const auto made = [](double accuracy, double nll) {
    Evaluation evaluation;
    evaluation.balanced_accuracy = accuracy;
    evaluation.nll = nll;
    return evaluation;
  };
  EXPECT_EQ(best_evaluation({made(0.5, 1), made(0.7, 2), made(0.7, 1.5), made(0.7, 1.5)}), 2u);
}

TEST(InitialLoss, HasTheMiddleOfWhatIsTriedLater) {
  EXPECT_EQ(initial_loss(LossSpec::parse("elm:lambda=auto+drw")).text(), "elm:lambda=0.5+drw");
  EXPECT_EQ(initial_loss(LossSpec::parse("ldam")).text(), "ldam");
}

/// A run of a linear model on the clouds in a .npy file, with a few samples of each class for validation and test.
class LinearRun : public ::testing::Test {
 protected:
  LinearRun() { write(clouds(0.3, 1, {70, 30, 16})); }

  void write(const FeatureSet& set) const {
    const torch::Tensor table = table_of(set);
    write(table, set.data.labels());
  }

  void write(const torch::Tensor& table, const std::vector<std::int64_t>& classes) const {
    const std::vector<std::int64_t> shape = {table.size(0), table.size(1)};
    NpyWriter features(folder_.path() / "x.npy", "<f4", shape);
    features.write({reinterpret_cast<const char*>(table.data_ptr<float>()), table.nbytes()});
    features.commit();
    NpyWriter labels(folder_.path() / "y.npy", "<i8", std::span(shape).first(1));
    labels.write({reinterpret_cast<const char*>(classes.data()), classes.size() * sizeof(std::int64_t)});
    labels.commit();
  }

  Plan plan(const std::string& loss) const {
    RunOptions options;
    options.data = fmt::format("npy:{0}/x.npy,{0}/y.npy", folder_.path().string());
    options.model = "linear";
    options.losses = {LossSpec::parse(loss)};
    options.validation = 4;
    options.batch_size = 16;
    options.epochs = 10;
    options.seed = 5;
    options.loader_threads = 0;
    return plan_run(options);
  }

  /// Trains and returns the head.
  HeadWeights train(const Plan& plan, const std::string& name) const {
    execute(plan, folder_.path() / name, "train");
    Classifier model = all_models(folder_.path() / name).front().load(std::nullopt);
    return head_of(model);
  }

  TemporaryFolder folder_;
};

TEST_F(LinearRun, TrainsAsFitHeadDoes) {
  for (const char* loss : {"ce", "elm:lambda=0.5+drw", "ldam+cb", "ldam+drs", "eql", "dro-lt:from=0.5"}) {
    const Plan plan = this->plan(loss);
    Classifier linear = make_model(model_options(plan.options, plan.data.train, Head::linear));
    const FeatureSet features = extract_features(linear, plan.data.train, plan.split.train, plan.normalisation, 0,
                                                 make_placement(plan.options));
    HeadFitOptions options = head_fit_options(plan.options, plan.options.seed);
    options.sampler = plan.trials[0].sampler;
    const Head kind = plan.trials[0].head;
    const HeadWeights fitted = fit_head(features, LossSpec::parse(loss), plan.counts, kind, options);
    const HeadWeights trained = train(plan, loss);
    EXPECT_LT((fitted.weight - trained.weight).abs().max().item<double>(), 1e-4) << loss;
    EXPECT_GT(fitted.weight.abs().max().item<double>(), 0.1) << loss;
    if (!fitted.bias.defined()) continue;
    EXPECT_LT((fitted.bias - trained.bias).abs().max().item<double>(), 1e-4) << loss;
  }
}

TEST_F(LinearRun, StandardisesFeaturesOfSeveralScales) {
  const FeatureSet set = clouds(0.3, 1, {70, 30, 16});
  const torch::Tensor table = table_of(set);
  EXPECT_TRUE(plan("ce").normalisation.mean.empty());
  table.select(1, 2).mul_(1000);
  write(table, set.data.labels());
  EXPECT_EQ(plan("ce").normalisation.mean.size(), 5u);
  table.select(1, 2).div_(1000).add_(1000);
  write(table, set.data.labels());
  EXPECT_EQ(plan("ce").normalisation.mean.size(), 5u) << "the means are far from 0";
}

TEST_F(LinearRun, WithAChosenLambdaIsTheRunOfThatLambda) {
  const HeadWeights chosen = train(plan("elm:lambda=auto+drw"), "auto");
  const CheckpointInfo info = all_models(folder_.path() / "auto").front().info;
  ASSERT_TRUE(info.chosen);
  const HeadWeights fixed = train(plan(fmt::format("elm:lambda={}+drw", *info.chosen)), "fixed");
  EXPECT_TRUE(torch::equal(chosen.weight, fixed.weight));
}

}  // namespace
}  // namespace ulmus::detail
