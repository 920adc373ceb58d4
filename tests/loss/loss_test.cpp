#include "ulmus/loss/loss.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "loss/reference.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus {
namespace {

constexpr double k_inf = std::numeric_limits<double>::infinity();
constexpr double k_nan = std::numeric_limits<double>::quiet_NaN();

/// Random logits and labels with their gradient.
struct Batch {
  std::int64_t rows, classes;
  std::vector<double> logits, gradient;
  std::vector<std::int64_t> labels, counts;

  Batch(std::int64_t rows_, std::int64_t classes_, double spread = 1, std::uint64_t seed = 0)
      : rows(rows_), classes(classes_) {
    Stream stream(seed, "batch");
    for (std::int64_t j = 0; j < classes; ++j) counts.push_back(static_cast<std::int64_t>(1 + stream.below(1000)));
    for (std::int64_t i = 0; i < rows; ++i) {
      labels.push_back(static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(classes))));
      for (std::int64_t j = 0; j < classes; ++j) logits.push_back(spread * stream.normal());
    }
    gradient.resize(logits.size());
  }
  MatrixView<const double> view() const { return {logits.data(), rows, classes}; }
  double run(const char* spec, Reduction reduction = Reduction::weighted_mean) {
    return Loss(LossSpec::parse(spec), ClassCounts(counts))
        .evaluate(view(), {.labels = labels, .reduction = reduction}, {gradient.data(), rows, classes});
  }
};

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

TEST(Elm, LambdaZeroEqualsLdam) {
  Batch elm(64, 10), ldam(64, 10);
  EXPECT_EQ(elm.run("elm:lambda=0"), ldam.run("ldam"));
  EXPECT_TRUE(same_bits(elm.gradient, ldam.gradient));
}

TEST(Ldam, MarginZeroEqualsScaledCrossEntropy) {
  Batch ldam(64, 10), ce(64, 10);
  EXPECT_EQ(ldam.run("ldam:max_margin=0"), ce.run("ce:scale=30"));
  EXPECT_TRUE(same_bits(ldam.gradient, ce.gradient));
  EXPECT_EQ(ldam.run("ldam:max_margin=0,scale=1"), ce.run("ce"));
  EXPECT_TRUE(same_bits(ldam.gradient, ce.gradient));
}

TEST(Elm, LambdaOneWithEqualCountsIsScaledCrossEntropy) {
  Batch elm(64, 10), ce(64, 10);
  elm.counts.assign(10, 50);
  EXPECT_DOUBLE_EQ(elm.run("elm"), ce.run("ce:scale=30"));
}

TEST(Elm, MarginDependsOnTheRivalAndTiesGoToTheLowestIndex) {
  const std::vector<double> logits = {0.1, 0.4, 0.4, 0.2};
  const std::vector<std::int64_t> labels = {3};
  const ClassCounts counts({1000, 10, 500, 100});
  const Loss elm(LossSpec::parse("elm:lambda=0.5"), counts);
  const auto D = counts.ldam_margins(0.5);
  const double margin = D[3] - 0.5 * D[1];
  const double distance = std::log(2 + std::exp(30 * (0.1 - 0.4))) + 30 * (0.2 + margin);
  EXPECT_NEAR(elm.evaluate<double>({logits.data(), 1, 4}, {.labels = labels}), std::log1p(std::exp(distance)), 1e-12);
}

TEST(Loss, AgreesWithTheTextbookDefinition) {
  for (const std::int64_t classes : {2, 3, 17, 1000}) {
    Batch batch(16, classes, 2);
    const auto expected =
        reference::evaluate({.scale = 30, .max_margin = 0.5, .lambda = 0.7}, batch.counts, batch.logits, batch.labels);
    EXPECT_NEAR(batch.run("elm:lambda=0.7"), expected.loss, 1e-10 * expected.loss);
    for (std::size_t i = 0; i < expected.gradient.size(); ++i)
      EXPECT_NEAR(batch.gradient[i], expected.gradient[i], 1e-10);
  }
}

TEST(Loss, GradientEqualsFiniteDifferences) {
  for (const char* text : {"ce+cb", "ldam:scale=5+inverse", "elm:lambda=0.5,scale=5", "elm:lambda=-1,scale=5", "bs",
                           "vs:gamma=0.5,scale=2+cb", "focal:gamma=2+cb", "focal:gamma=0.5"}) {
    Batch batch(8, 7, 1, 3);
    batch.run(text);
    Batch moved = batch;
    for (std::size_t k = 0; k < batch.logits.size(); ++k) {
      const double step = 1e-6;
      moved.logits[k] = batch.logits[k] + step;
      const double above = moved.run(text);
      moved.logits[k] = batch.logits[k] - step;
      const double below = moved.run(text);
      moved.logits[k] = batch.logits[k];
      EXPECT_NEAR((above - below) / (2 * step), batch.gradient[k], 1e-7) << text;
    }
  }
}

TEST(Loss, ACommonOffsetCancels) {
  Batch batch(32, 10), shifted(32, 10);
  for (double& z : batch.logits) z = std::round(z * 1024) / 1024;
  for (std::size_t k = 0; k < batch.logits.size(); ++k) shifted.logits[k] = batch.logits[k] + 16384;
  EXPECT_EQ(batch.run("elm:lambda=0.5"), shifted.run("elm:lambda=0.5"));
  EXPECT_TRUE(same_bits(batch.gradient, shifted.gradient));
}

TEST(Loss, GradientKeepsItsDigitsWhenTheSampleIsNearlyRight) {
  const std::vector<float> logits = {40, 0, 0};
  const std::vector<std::int64_t> labels = {0};
  std::vector<float> gradient(3);
  Loss(LossSpec::parse("ce"), ClassCounts({1, 1, 1}))
      .evaluate<float>({logits.data(), 1, 3}, {.labels = labels}, {gradient.data(), 1, 3});
  EXPECT_NEAR(gradient[0] / (-2 * std::exp(-40.0)), 1, 1e-6);
  EXPECT_NEAR(gradient[1] / std::exp(-40.0), 1, 1e-6);
}

TEST(Loss, HugeLogitsDoNotOverflow) {
  for (const double size : {80.0, 1e4}) {
    const std::vector<float> logits = {static_cast<float>(-size), static_cast<float>(size), 0};
    const std::vector<std::int64_t> labels = {0};
    std::vector<float> gradient(3);
    const double loss = Loss(LossSpec::parse("ce"), ClassCounts({1, 1, 1}))
                            .evaluate<float>({logits.data(), 1, 3}, {.labels = labels}, {gradient.data(), 1, 3});
    EXPECT_NEAR(loss, 2 * size, 1e-4 * size);
    EXPECT_FLOAT_EQ(gradient[0], -1);
    EXPECT_FLOAT_EQ(gradient[1], 1);
  }
}

TEST(Loss, InfiniteLogitsHaveTheLimit) {
  const Loss ce(LossSpec::parse("ce"), ClassCounts({1, 1, 1}));
  const std::vector<std::int64_t> labels = {0};
  const auto run = [&](std::vector<double> logits, std::vector<double>& gradient) {
    gradient.assign(3, -7);
    return ce.evaluate<double>({logits.data(), 1, 3}, {.labels = labels}, {gradient.data(), 1, 3});
  };
  std::vector<double> gradient;
  EXPECT_EQ(run({0, -k_inf, -k_inf}, gradient), 0);
  EXPECT_EQ(gradient, (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(run({0, k_inf, 0}, gradient), k_inf);
  EXPECT_EQ(gradient, (std::vector<double>{-1, 1, 0}));
  EXPECT_EQ(run({-k_inf, 0, 0}, gradient), k_inf);
  EXPECT_EQ(gradient, (std::vector<double>{-1, 0.5, 0.5}));
  EXPECT_NEAR(run({0, 0, -k_inf}, gradient), std::log(2.0), 1e-15);
  EXPECT_EQ(gradient[2], 0);
  for (auto logits :
       {std::vector<double>{k_inf, 0, 0}, {k_inf, k_inf, 0}, {k_nan, 0, 0}, {0, k_nan, 0}, {0, 0, k_nan}}) {
    EXPECT_TRUE(std::isnan(run(logits, gradient)));
    EXPECT_TRUE(std::isnan(gradient[0]));
  }
}

TEST(Loss, OneClassCostsNothing) {
  const std::vector<double> logits = {3, -2};
  const std::vector<std::int64_t> labels = {0, 0};
  std::vector<double> gradient = {1, 1};
  EXPECT_EQ(Loss(LossSpec::parse("elm"), ClassCounts({5}))
                .evaluate<double>({logits.data(), 2, 1}, {.labels = labels}, {gradient.data(), 2, 1}),
            0);
  EXPECT_EQ(gradient, (std::vector<double>{0, 0}));
  for (const double bad : {k_inf, -k_inf, k_nan})
    EXPECT_TRUE(std::isnan(Loss(LossSpec::parse("elm"), ClassCounts({5}))
                               .evaluate<double>({&bad, 1, 1}, {.labels = std::span(labels).first(1)})));
}

TEST(Loss, NoRowsCostNothing) {
  EXPECT_EQ(Loss(LossSpec::parse("elm"), ClassCounts({5, 2})).evaluate<double>({nullptr, 0, 2}, {}), 0);
}

TEST(Loss, GradientMayOverwriteTheLogits) {
  Batch apart(16, 33), in_place(16, 33);
  const double expected = apart.run("elm:lambda=0.5");
  const Loss loss(LossSpec::parse("elm:lambda=0.5"), ClassCounts(in_place.counts));
  EXPECT_EQ(loss.evaluate(in_place.view(), {.labels = in_place.labels}, {in_place.logits.data(), 16, 33}), expected);
  EXPECT_TRUE(same_bits(in_place.logits, apart.gradient));
}

TEST(Loss, RowStridesLeaveThePaddingAlone) {
  Batch tight(9, 5);
  const double expected = tight.run("ldam");
  std::vector<double> logits(9 * 8, k_nan), gradient(9 * 6, 42);
  for (std::size_t i = 0; i < 9; ++i)
    for (std::size_t j = 0; j < 5; ++j) logits[i * 8 + j] = tight.logits[i * 5 + j];
  const Loss loss(LossSpec::parse("ldam"), ClassCounts(tight.counts));
  EXPECT_EQ(loss.evaluate<double>({logits.data(), 9, 5, 8}, {.labels = tight.labels}, {gradient.data(), 9, 5, 6}),
            expected);
  for (std::size_t i = 0; i < 9; ++i) {
    for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(gradient[i * 6 + j], tight.gradient[i * 5 + j]);
    EXPECT_EQ(gradient[i * 6 + 5], 42);
  }
}

TEST(Loss, RowsDoNotDependOnTheirNeighbours) {
  Batch batch(128, 600);
  const Loss loss(LossSpec::parse("elm:lambda=0.5"), ClassCounts(batch.counts));
  std::vector<double> together(128);
  loss.evaluate<double>(batch.view(), {.labels = batch.labels, .losses = together});
  for (std::size_t i = 0; i < 128; ++i) {
    double alone = 0;
    loss.evaluate<double>({batch.logits.data() + i * 600, 1, 600},
                          {.labels = std::span(batch.labels).subspan(i, 1), .losses = {&alone, 1}});
    EXPECT_EQ(alone, together[i]);
  }
}

TEST(Reduction, MeanAndWeightedMeanDifferByTheSumOfWeights) {
  Batch batch(50, 4);
  const ClassCounts counts(batch.counts);
  const auto weights = counts.inverse_frequency_weights();
  double sum = 0;
  for (const auto y : batch.labels) sum += weights[static_cast<std::size_t>(y)];
  EXPECT_NEAR(batch.run("ce+inverse", Reduction::mean) * 50, batch.run("ce+inverse", Reduction::weighted_mean) * sum,
              1e-12);
  EXPECT_EQ(batch.run("ce", Reduction::mean), batch.run("ce", Reduction::weighted_mean));
}

TEST(Reduction, NamesReadBack) {
  for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none})
    EXPECT_EQ(parse_reduction(name_of(reduction)), reduction);
  EXPECT_THROW(parse_reduction("wmean"), Error);
}

TEST(BalancedSoftmax, IsLogitAdjustmentWithTauOne) {
  Batch bs(64, 10), la(64, 10), vs(64, 10);
  EXPECT_DOUBLE_EQ(bs.run("bs"), la.run("la"));
  EXPECT_EQ(la.run("la:tau=1.5"), vs.run("vs:gamma=0,tau=1.5"));
  EXPECT_TRUE(same_bits(la.gradient, vs.gradient));
}

TEST(BalancedSoftmax, AClassWithoutSamplesCountsLikeTheRarest) {
  Batch some(16, 4), none(16, 4);
  some.counts = {100, 7, 50, 7};
  none.counts = {100, 7, 50, 0};
  EXPECT_EQ(some.run("bs"), none.run("bs"));
  EXPECT_EQ(some.run("cdt"), none.run("cdt"));
}

TEST(Focal, GammaZeroIsCrossEntropy) {
  Batch focal(64, 10), ce(64, 10);
  EXPECT_EQ(focal.run("focal:gamma=0"), ce.run("ce"));
  EXPECT_TRUE(same_bits(focal.gradient, ce.gradient));
}

TEST(Focal, ACertainSampleCostsNothing) {
  const std::vector<double> logits = {800, 0, 0};
  const std::vector<std::int64_t> labels = {0};
  for (const char* text : {"focal:gamma=0.5", "focal:gamma=2"}) {
    std::vector<double> gradient(3, 42);
    EXPECT_EQ(Loss(LossSpec::parse(text), ClassCounts({1, 1, 1}))
                  .evaluate<double>({logits.data(), 1, 3}, {.labels = labels}, {gradient.data(), 1, 3}),
              0);
    for (const double g : gradient) EXPECT_EQ(g, 0);
  }
}

TEST(Reduction, WeightsThatSumToZeroCostNothing) {
  Batch batch(5, 4);
  Loss loss(LossSpec::parse("ce"), ClassCounts(batch.counts));
  loss.set_class_weights({0, 0, 0, 0});
  EXPECT_EQ(loss.evaluate(batch.view(), {.labels = batch.labels}, {batch.gradient.data(), 5, 4}), 0);
  for (const double g : batch.gradient) EXPECT_EQ(g, 0);
}

TEST(Drw, WeightsBeginAtTheirEpoch) {
  Loss loss(LossSpec::parse("ldam+drw"), ClassCounts({1000, 10}));
  EXPECT_TRUE(loss.class_weights().empty());
  loss.set_epoch(159, 200);
  EXPECT_TRUE(loss.class_weights().empty());
  loss.set_epoch(160, 200);
  EXPECT_EQ(loss.class_weights().size(), 2u);
  loss.set_epoch(0, 200);
  EXPECT_TRUE(loss.class_weights().empty());
  EXPECT_THROW(loss.set_epoch(200, 200), Error);
}

TEST(Border, RefusesWhatDoesNotFitAndWritesNothing) {
  const Loss loss(LossSpec::parse("ce"), ClassCounts({5, 2, 1}));
  const std::vector<double> logits(6, 0.5);
  std::vector<double> gradient(6, 42);
  const auto message = [&](MatrixView<const double> view, std::vector<std::int64_t> labels,
                           MatrixView<double> out) -> std::string {
    try {
      loss.evaluate(view, {.labels = labels}, out);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const MatrixView<const double> view(logits.data(), 2, 3);
  const MatrixView<double> out(gradient.data(), 2, 3);
  EXPECT_NE(message(view, {0, 3}, out).find("label 3 at position 1"), std::string::npos);
  EXPECT_NE(message(view, {-1, 0}, out).find("label -1 at position 0"), std::string::npos);
  EXPECT_NE(message(view, {0}, out), "");
  EXPECT_NE(message({logits.data(), 3, 2}, {0, 0, 0}, {}), "");
  EXPECT_NE(message({logits.data(), 1, 3, 2}, {0}, {}), "");
  EXPECT_NE(message(view, {0, 0}, {gradient.data(), 1, 3}), "");
  for (const double g : gradient) EXPECT_EQ(g, 42);
  EXPECT_THROW(Loss(LossSpec::parse("ce"), ClassCounts({5, 2})).set_class_weights({1}), Error);
  EXPECT_THROW(Loss(LossSpec::parse("ce"), ClassCounts({5, 2})).set_class_weights({1, k_nan}), Error);
}

TEST(Border, OffsetsAndNoiseAreOneForEachLogit) {
  Batch batch(16, 5);
  const std::vector<double> values(16 * 5, 0.5);
  const Loss gcl(LossSpec::parse("gcl"), ClassCounts(batch.counts));
  Loss tam(LossSpec::parse("tam:from=0"), ClassCounts(batch.counts));
  tam.set_epoch(0, 1);
  const MatrixView<const double> bad[] = {
      {values.data(), 1, 5}, {values.data(), 16, 3}, {values.data(), 16, 5, 4}, {values.data(), 16, 5, -5}};
  for (const auto& view : bad) {
    EXPECT_THROW(gcl.evaluate(batch.view(), {.labels = batch.labels, .noise = view}), Error);
    EXPECT_THROW(gcl.offsets(batch.view(), {.labels = batch.labels, .noise = view}), Error);
    EXPECT_THROW(gcl.collect_update(batch.view(), {.labels = batch.labels, .noise = view}), Error);
    EXPECT_THROW(tam.evaluate(batch.view(), {.labels = batch.labels, .offsets = view}), Error);
    EXPECT_THROW(tam.offsets(batch.view(), {.labels = batch.labels, .offsets = view}), Error);
  }
  EXPECT_NO_THROW(gcl.evaluate(batch.view(), {.labels = batch.labels, .noise = {values.data(), 16, 5}}));
  EXPECT_NO_THROW(tam.evaluate(batch.view(), {.labels = batch.labels, .offsets = {values.data(), 16, 5}}));
}

TEST(Loss, AStateKnowsTheWidthOfItsFeatures) {
  Batch batch(16, 5);
  Loss loss(LossSpec::parse("dro-lt:from=0"), ClassCounts(batch.counts));
  loss.set_epoch(0, 1);
  EXPECT_EQ(loss.state().feature_width, 0);
  const std::vector<double> features(16 * 7, 2.0);
  const LossBatch of_7{.labels = batch.labels, .features = {.features = {features.data(), 16, 7}}};
  const LossBatch of_6{.labels = batch.labels, .features = {.features = {features.data(), 16, 6}}};
  loss.apply_update(loss.collect_update(batch.view(), of_7));
  EXPECT_EQ(loss.state().feature_width, 7);
  EXPECT_NO_THROW(loss.evaluate(batch.view(), of_7));
  EXPECT_THROW(loss.evaluate(batch.view(), of_6), Error);
  EXPECT_THROW(loss.collect_update(batch.view(), of_6), Error);
  Loss other(LossSpec::parse("dro-lt:from=0"), ClassCounts(batch.counts));
  other.set_state({.values = loss.state().values});
  EXPECT_EQ(other.state().feature_width, 7);
}

class WeightFile : public ::testing::Test {
 protected:
  Loss with(const std::string& text) const {
    write_file(folder_.path() / "w", text);
    return Loss(LossSpec::parse("ce+weights=" + (folder_.path() / "w").string()), ClassCounts({5, 4, 3}));
  }
  std::string message_of(const std::string& text) const {
    try {
      with(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  const TemporaryFolder folder_;
};

TEST_F(WeightFile, HasALineForEachClass) {
  const Loss loss = with("# of the three classes\n0.5\n 1 \r\n\n2 # rare\n");
  EXPECT_EQ(std::vector(loss.class_weights().begin(), loss.class_weights().end()), (std::vector{0.5, 1.0, 2.0}));
}

TEST_F(WeightFile, MayNameItsClassesInAnyOrder) {
  const auto weights = [](const Loss& loss) {
    return std::vector(loss.class_weights().begin(), loss.class_weights().end());
  };
  EXPECT_EQ(weights(with("class,weight\n2,2\n0,0.5\n1,1\n")), (std::vector{0.5, 1.0, 2.0})) << "by number";
  const Loss named(LossSpec::parse("ce+weights=" + (folder_.path() / "w").string()),
                   ClassCounts({5, 4, 3}, {"0", "2", "1"}));
  EXPECT_EQ(weights(named), (std::vector{0.5, 2.0, 1.0}));
  EXPECT_NE(message_of("0,1\n1,1\n3,1\n").find("line 3 names '3', which is no class"), std::string::npos);
}

TEST_F(WeightFile, RefusesWhatIsNoWeightAndNamesTheLine) {
  EXPECT_NE(message_of("1\n2\n").find("has 2 numbers, expected one for each of 3 classes"), std::string::npos);
  EXPECT_NE(message_of("1\nx\n3\n").find("line 2"), std::string::npos);
  EXPECT_NE(message_of("1\n2\n-3\n").find("line 3"), std::string::npos);
  EXPECT_THROW(Loss(LossSpec::parse("ce+weights=/nowhere"), ClassCounts({1, 2})), Error);
}

TEST(Loss, IsPlainBeforeTheFractionFromAndItselfAfter) {
  Batch batch(16, 5);
  const std::vector<double> features(16, 2.0);
  Loss ib(LossSpec::parse("ib"), ClassCounts(batch.counts));
  const Loss ce(LossSpec::parse("ce"), ClassCounts(batch.counts));
  LossBatch inputs{.labels = batch.labels, .features = {.features = {features.data(), 16, 1}}};
  const double plain = ce.evaluate(batch.view(), inputs);
  EXPECT_EQ(ib.evaluate(batch.view(), inputs), plain);
  ib.set_epoch(99, 200);
  EXPECT_EQ(ib.evaluate(batch.view(), inputs), plain);
  ib.set_epoch(100, 200);
  EXPECT_NE(ib.evaluate(batch.view(), inputs), plain);
  EXPECT_FALSE(ib.class_weights().empty());
  EXPECT_THROW(ib.evaluate(batch.view(), {.labels = batch.labels}), Error);
}

TEST(Loss, StateGoesBackToWhatWasSaved) {
  Batch batch(16, 5);
  Loss seesaw(LossSpec::parse("seesaw"), ClassCounts(batch.counts));
  const LossBatch inputs{.labels = batch.labels};
  seesaw.apply_update(seesaw.collect_update(batch.view(), inputs));
  EXPECT_EQ(std::accumulate(seesaw.state().values.begin(), seesaw.state().values.end(), 0.0), 16);
  Loss other(LossSpec::parse("seesaw"), ClassCounts(batch.counts));
  EXPECT_NE(other.evaluate(batch.view(), inputs), seesaw.evaluate(batch.view(), inputs));
  other.set_state(seesaw.state());
  EXPECT_EQ(other.evaluate(batch.view(), inputs), seesaw.evaluate(batch.view(), inputs));
  EXPECT_THROW(other.set_state({.values = {1, 2}}), Error);
  EXPECT_THROW(other.apply_update(std::vector<double>(3)), Error);
  EXPECT_EQ(other.delta_size(0), 5);
  EXPECT_EQ(Loss(LossSpec::parse("lmd"), ClassCounts(batch.counts)).delta_size(7), 5 * (1 + 7));
}

TEST(Loss, RandomDrawsAreAFunctionOfSeedStepAndPlace) {
  Batch batch(16, 5);
  Loss gcl(LossSpec::parse("gcl:scale=3"), ClassCounts(batch.counts));
  const LossBatch inputs{.labels = batch.labels};
  const double first = gcl.evaluate(batch.view(), inputs);
  EXPECT_EQ(gcl.evaluate(batch.view(), inputs), first);
  Loss seeded = gcl;
  seeded.set_state({.values = gcl.state().values, .seed = 1});
  EXPECT_NE(seeded.evaluate(batch.view(), inputs), first);
  gcl.apply_update(gcl.collect_update(batch.view(), inputs));
  EXPECT_NE(gcl.evaluate(batch.view(), inputs), first);
}

TEST(Loss, ALossOfTheWholeBatchHasNoLossOfASample) {
  Batch batch(16, 5);
  EXPECT_THROW(batch.run("lade", Reduction::none), Error);
  EXPECT_NO_THROW(batch.run("lade", Reduction::mean));
}

TEST(Loss, InPlaceIsTheSameForEveryMember) {
  for (const LossDefinition& definition : family()) {
    Batch batch(9, 40, 0.4);
    Loss loss(LossSpec::parse(std::string(definition.name)), ClassCounts(batch.counts));
    loss.set_epoch(1, 2);
    std::vector<double> features(9 * 4), weight(40 * 4), bias(40);
    for (std::size_t k = 0; k < weight.size(); ++k) weight[k] = std::sin(static_cast<double>(k));
    for (std::size_t k = 0; k < features.size(); ++k) features[k] = std::cos(static_cast<double>(k));
    const LossBatch inputs{
        .labels = batch.labels,
        .features = {.features = {features.data(), 9, 4}, .head_weight = {weight.data(), 40, 4}, .head_bias = bias}};
    const double value = loss.evaluate<double>(batch.view(), inputs, {batch.gradient.data(), 9, 40});
    EXPECT_EQ(loss.evaluate<double>(batch.view(), inputs, {batch.logits.data(), 9, 40}), value) << definition.name;
    EXPECT_TRUE(same_bits(batch.logits, batch.gradient)) << definition.name;
  }
}

}  // namespace
}  // namespace ulmus
