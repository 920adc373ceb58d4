#include "ulmus/eval/evaluation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>

#include "eval/score_samples.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/eval/evaluator.hpp"

namespace ulmus {
namespace {

struct Sample {
  std::vector<float> logits;
  std::int64_t label;
};

Evaluation judged(const std::vector<Sample>& samples, std::vector<std::int64_t> counts,
                  const EvaluationOptions& options = {}) {
  std::vector<float> logits;
  std::vector<std::int64_t> labels;
  for (const Sample& sample : samples) {
    logits.insert(logits.end(), sample.logits.begin(), sample.logits.end());
    labels.push_back(sample.label);
  }
  const auto rows = static_cast<std::int64_t>(samples.size());
  const auto columns = static_cast<std::int64_t>(counts.size());
  return evaluate({logits.data(), rows, columns}, labels, ClassCounts(std::move(counts)), options);
}

/// Four samples of class 0 (three correct), two of class 1 (one correct), one of class 2 (incorrect).
const std::vector<Sample> k_small = {{{2, 1, 0}, 0}, {{3, 1, 0}, 0}, {{2, 0, 1}, 0}, {{0, 1, 0}, 0},
                                     {{0, 2, 1}, 1}, {{1, 0, 0}, 1}, {{5, 4, 1}, 2}};
const std::vector<std::int64_t> k_small_counts = {500, 50, 5};

struct Drawn {
  std::vector<float> logits;  ///< [rows, columns]
  std::vector<std::int64_t> labels;
};

Drawn drawn(std::int64_t rows, std::int64_t columns) {
  Stream random(1, "logits");
  Drawn result{std::vector<float>(static_cast<std::size_t>(rows * columns)),
               std::vector<std::int64_t>(static_cast<std::size_t>(rows))};
  for (float& logit : result.logits) logit = static_cast<float>(random.uniform());
  for (std::int64_t& label : result.labels)
    label = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(columns)));
  return result;
}

ErrorKind kind_of(const std::function<void()>& action, std::string* message = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (message) *message = error.what();
    return error.kind();
  }
  ADD_FAILURE() << "no error was thrown";
  return ErrorKind::interrupted;
}

TEST(Evaluation, SmallCaseByHand) {
  const Evaluation result = judged(k_small, k_small_counts);
  EXPECT_EQ(result.samples, 7);
  EXPECT_DOUBLE_EQ(result.top1, 4.0 / 7);
  EXPECT_DOUBLE_EQ(result.top5, 1);
  EXPECT_DOUBLE_EQ(result.balanced_accuracy, (0.75 + 0.5 + 0) / 3);
  EXPECT_DOUBLE_EQ(*result.many_shot, 0.75);
  EXPECT_DOUBLE_EQ(*result.medium_shot, 0.5);
  EXPECT_DOUBLE_EQ(*result.few_shot, 0);
  EXPECT_DOUBLE_EQ(result.worst_class, 0);
  EXPECT_EQ(result.worst_class_index, 2);
  EXPECT_EQ(result.geometric_mean, 0);
  EXPECT_EQ(result.confusion, (std::vector<SparseCounts>{{{0, 3}, {1, 1}}, {{0, 1}, {1, 1}}, {{0, 1}}}));
  EXPECT_DOUBLE_EQ(*result.classes[0].precision, 3.0 / 5);
  EXPECT_DOUBLE_EQ(*result.classes[0].f1, 6.0 / 9);
  EXPECT_DOUBLE_EQ(*result.classes[1].precision, 0.5);
  EXPECT_FALSE(result.classes[2].precision.has_value());
  EXPECT_EQ(result.classes[2].f1, 0.0);
  EXPECT_DOUBLE_EQ(result.macro_f1, (6.0 / 9 + 0.5 + 0) / 3);
}

TEST(Evaluation, GeometricMeanOfRecalls) {
  const Evaluation result = judged({{{1, 0}, 0}, {{0, 1}, 1}, {{1, 0}, 1}, {{0, 1}, 1}, {{1, 0}, 1}}, {9, 9});
  EXPECT_DOUBLE_EQ(result.geometric_mean, std::sqrt(0.5));
}

TEST(Evaluation, TiesGoToTheLowestIndex) {
  const Evaluation result = judged({{{1, 1, 0}, 0}, {{1, 1, 0}, 1}}, {9, 9, 9});
  EXPECT_EQ(result.confusion[0], (SparseCounts{{0, 1}}));
  EXPECT_EQ(result.confusion[1], (SparseCounts{{0, 1}}));
  EXPECT_DOUBLE_EQ(result.top1, 0.5);
}

TEST(Evaluation, TopFiveCountsTiesByIndex) {
  const std::vector<float> level(6, 1.0F);
  const std::vector<std::int64_t> counts(6, 10);
  EXPECT_DOUBLE_EQ(judged({{level, 4}}, counts).top5, 1);
  EXPECT_DOUBLE_EQ(judged({{level, 5}}, counts).top5, 0);
}

TEST(Evaluation, ClassesWithoutSupportAreLeftOutOfAverages) {
  const Evaluation result = judged({{{2, 1, 0}, 0}, {{2, 1, 0}, 1}}, {500, 50, 5});
  EXPECT_DOUBLE_EQ(result.balanced_accuracy, 0.5);
  EXPECT_FALSE(result.few_shot.has_value());
  EXPECT_EQ(result.worst_class_index, 1);
  EXPECT_FALSE(result.classes[2].recall.has_value());
  EXPECT_FALSE(result.classes[2].f1.has_value());
  EXPECT_TRUE(result.classes[2].margin.quantiles.empty());
  EXPECT_EQ(result.classes[2].support, 0);
}

TEST(Evaluation, ShotThresholdsAreApplied) {
  const Evaluation result = judged(k_small, k_small_counts, {.thresholds = {.many_above = 1000, .few_below = 5}});
  EXPECT_FALSE(result.many_shot.has_value());
  EXPECT_FALSE(result.few_shot.has_value());
  EXPECT_DOUBLE_EQ(*result.medium_shot, result.balanced_accuracy);
  EXPECT_EQ(result.thresholds.many_above, 1000);
}

TEST(Evaluation, UniformProbabilitiesHaveKnownCalibrationAndNll) {
  // Confidence 1/4 everywhere and every prediction is class 0: correct once in four.
  const std::vector<float> level(4, 0.5F);
  const Evaluation result = judged({{level, 0}, {level, 1}, {level, 2}, {level, 3}}, {1, 1, 1, 1});
  EXPECT_NEAR(result.ece, 0, 1e-15);
  EXPECT_NEAR(result.nll, std::log(4), 1e-15);
}

TEST(Evaluation, CalibrationErrorOfTwoBinsByHand) {
  // softmax(log 3, 0) = (3/4, 1/4); softmax(log 9, 0) = (9/10, 1/10): gaps 3/4 - 1/2 and 9/10 - 0, weights 2/3 and 1/3.
  const auto three = static_cast<float>(std::log(3.0));
  const auto nine = static_cast<float>(std::log(9.0));
  const Evaluation result = judged({{{three, 0}, 0}, {{three, 0}, 1}, {{nine, 0}, 1}}, {9, 9});
  EXPECT_NEAR(result.ece, 2.0 / 3 * 0.25 + 1.0 / 3 * 0.9, 1e-7);
  EXPECT_NEAR(result.nll, (-std::log(0.75) - std::log(0.25) - std::log(0.1)) / 3, 1e-7);
}

TEST(Evaluation, ScaleSharpensProbabilitiesOnly) {
  const Evaluation plain = judged(k_small, k_small_counts);
  const Evaluation sharp = judged(k_small, k_small_counts, {.scale = 30});
  EXPECT_EQ(plain.confusion, sharp.confusion);
  EXPECT_EQ(plain.classes[0].margin.quantiles, sharp.classes[0].margin.quantiles);
  EXPECT_GT(sharp.nll, 5 * plain.nll);
}

TEST(Evaluation, HugeLogitsStayFinite) {
  const Evaluation result = judged({{{1e30F, -1e30F}, 0}, {{-1e30F, 1e30F}, 0}}, {9, 9});
  EXPECT_NEAR(result.nll, 1e30, 1e24);
  EXPECT_DOUBLE_EQ(result.ece, 0.5);
}

TEST(Margins, QuantilesAndMeanByHand) {
  const Evaluation result = judged(k_small, k_small_counts);
  const MarginDistribution& margin = result.classes[0].margin;  // 1, 2, 1, -1
  EXPECT_DOUBLE_EQ(margin.mean, 0.75);
  EXPECT_DOUBLE_EQ(margin.quantiles[2], 1);
  EXPECT_DOUBLE_EQ(margin.quantiles[1], 0.5);
  EXPECT_DOUBLE_EQ(margin.quantiles[4], 1.85);
  EXPECT_DOUBLE_EQ(result.classes[2].margin.mean, -4);
}

TEST(Margins, HistogramCountsEverySampleWithinPowerOfTwoEdges) {
  const Evaluation result = judged(k_small, k_small_counts, {.margin_bins = 8});
  EXPECT_EQ(result.margin_edges, (std::vector<double>{-4, -3, -2, -1, 0, 1, 2, 3, 4}));
  EXPECT_EQ(result.classes[0].margin.histogram, (SparseCounts{{3, 1}, {5, 2}, {6, 1}}));
  EXPECT_EQ(result.classes[2].margin.histogram, (SparseCounts{{0, 1}}));
}

TEST(Margins, LargestMarginLiesInTheLastBin) {
  const Evaluation result = judged({{{4, 0}, 0}, {{0, 0}, 1}}, {9, 9}, {.margin_bins = 4});
  EXPECT_EQ(result.margin_edges.back(), 4);
  EXPECT_EQ(result.classes[0].margin.histogram, (SparseCounts{{3, 1}}));
}

TEST(Margins, AllZeroMarginsHaveEdges) {
  const Evaluation result = judged({{{0, 0}, 0}}, {9, 9}, {.margin_bins = 2});
  EXPECT_EQ(result.margin_edges, (std::vector<double>{-1, 0, 1}));
}

TEST(Evaluation, ReadsRowsByTheirStride) {
  const std::vector<float> logits = {2, 1, 99, 0, 1, 99};
  const std::vector<std::int64_t> labels = {0, 1};
  EXPECT_DOUBLE_EQ(evaluate({logits.data(), 2, 2, 3}, labels, ClassCounts({1, 1})).top1, 1);
}

TEST(Evaluation, LogitNotFiniteNamesItsRow) {
  std::string message;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(kind_of(
                [&] {
                  judged({{{0, 1}, 0}, {{0, nan}, 0}, {{nan, 0}, 0}}, {1, 1});
                },
                &message),
            ErrorKind::numerical);
  EXPECT_NE(message.find("row 1, class 1"), std::string::npos) << message;
  EXPECT_EQ(kind_of([&] { judged({{{infinity, 1}, 0}}, {1, 1}); }), ErrorKind::numerical);
}

TEST(Evaluation, LabelOutOfRangeNamesItsPosition) {
  std::string message;
  EXPECT_EQ(kind_of([] { judged({{{0, 1}, 0}, {{0, 1}, 2}}, {1, 1}); }, &message), ErrorKind::data);
  EXPECT_NE(message.find("label 2 at position 1"), std::string::npos) << message;
  EXPECT_EQ(kind_of([] { judged({{{0, 1}, -1}}, {1, 1}); }), ErrorKind::data);
}

TEST(Evaluation, ShapesThatDoNotMatchAreRefused) {
  const std::vector<float> logits(6, 0.0F);
  const std::vector<std::int64_t> labels = {0, 1};
  EXPECT_EQ(kind_of([&] { evaluate({logits.data(), 3, 2}, labels, ClassCounts({1, 1})); }), ErrorKind::data);
  EXPECT_EQ(kind_of([&] { evaluate({logits.data(), 2, 3}, labels, ClassCounts({1, 1})); }), ErrorKind::data);
  EXPECT_EQ(kind_of([&] { evaluate({logits.data(), 2, 3, 2}, labels, ClassCounts({1, 1, 1})); }), ErrorKind::data);
  EXPECT_EQ(kind_of([&] { evaluate({logits.data(), 0, 2}, {}, ClassCounts({1, 1})); }), ErrorKind::data);
  EXPECT_EQ(kind_of([&] {
              evaluate({logits.data(), 2, 1}, std::vector<std::int64_t>{0, 0}, ClassCounts({1}));
            }),
            ErrorKind::data);
}

TEST(Evaluation, OptionsOutOfRangeAreRefused) {
  EXPECT_EQ(kind_of([] { judged(k_small, k_small_counts, {.scale = 0}); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([] { judged(k_small, k_small_counts, {.margin_bins = 7}); }), ErrorKind::usage);
}

TEST(Evaluation, InPiecesIsTheSame) {
  const std::int64_t rows = 50, columns = 4;
  const auto [logits, labels] = drawn(rows, columns);
  const ClassCounts counts({200, 60, 30, 5});
  const EvaluationOptions options{.scale = 3};

  detail::Evaluator evaluator(counts, options);
  EXPECT_EQ(kind_of([&] { detail::Evaluator(evaluator).finish(); }), ErrorKind::data) << "nothing was added";
  for (std::int64_t begin = 0, end = 1; begin < rows; begin = end, end = std::min(rows, 2 * end + 1))
    evaluator.add({logits.data() + begin * columns, end - begin, columns},
                  std::span(labels).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  std::string message;
  const std::vector<std::int64_t> wrong = {0, 7};
  const MatrixView<const float> two{logits.data(), 2, columns};
  EXPECT_EQ(kind_of([&] { evaluator.add(two, wrong); }, &message), ErrorKind::data);
  EXPECT_NE(message.find("label 7 at position 51"), std::string::npos) << message;
  EXPECT_EQ(Json(evaluator.finish()), Json(evaluate({logits.data(), rows, columns}, labels, counts, options)));
}

TEST(Evaluation, ManyClassesCostWhatTheirSamplesCost) {
  const std::int64_t classes = 100'000;
  std::vector<float> logits(static_cast<std::size_t>(2 * classes), 0.0F);
  logits[7] = logits[static_cast<std::size_t>(classes) + 9] = 1;
  const std::vector<std::int64_t> labels = {7, 99'999};
  const ClassCounts counts(std::vector<std::int64_t>(static_cast<std::size_t>(classes), 2));
  const Evaluation result = evaluate({logits.data(), 2, classes}, labels, counts);
  EXPECT_EQ(result.confusion[7], (SparseCounts{{7, 1}}));
  EXPECT_EQ(result.confusion[99'999], (SparseCounts{{9, 1}}));
  EXPECT_DOUBLE_EQ(result.balanced_accuracy, 0.5);
  EXPECT_EQ(result.worst_class_index, 99'999);
  // A dense matrix alone would be 20 GB of text.
  EXPECT_LT(Json(result).dump().size(), 200U * classes);
}

TEST(Evaluation, JsonRoundTripKeepsEverything) {
  const Evaluation original = judged({{{2, 1, 0}, 0}, {{2, 1, 0.25F}, 1}}, {500, 50, 5});
  const Json json = original;
  EXPECT_TRUE(json.at("few_shot").is_null());
  const Evaluation copy = Json::parse(json.dump()).get<Evaluation>();
  EXPECT_EQ(Json(copy), json);
  EXPECT_EQ(copy.margin_edges, original.margin_edges);
  EXPECT_EQ(copy.nll, original.nll);
}

TEST(Evaluation, JsonWithoutAKeyIsRefused) {
  Json json = judged(k_small, k_small_counts);
  json.erase("ece");
  EXPECT_THROW(json.get<Evaluation>(), Json::exception);
}

TEST(Evaluation, TenThousandByThousandIsFast) {
  const std::int64_t rows = 10000, columns = 1000;
  const auto [logits, labels] = drawn(rows, columns);
  const ClassCounts counts(std::vector<std::int64_t>(static_cast<std::size_t>(columns), 10));
  const auto start = std::chrono::steady_clock::now();
  const Evaluation result = evaluate({logits.data(), rows, columns}, labels, counts);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  RecordProperty("milliseconds", static_cast<int>(elapsed.count() * 1000));
  EXPECT_NEAR(result.top1, 0.001, 0.002);
  EXPECT_LT(elapsed.count(), 5.0) << "seconds; expected a fraction of one on an idle core";
}

// The samples and scikit-learn's values of score_metrics_test.cpp, as float logits.

TEST(Evaluation, MetricsOfRankingAreThoseOfScikitLearn) {
  std::vector<float> logits;
  for (const double p : test::k_scores.values) logits.push_back(static_cast<float>(std::log(std::max(p, 1e-30))));
  const MatrixView<const float> view{logits.data(), 16, 3};
  const ClassCounts counts({9, 5, 2});
  const Evaluation all = evaluate(view, test::k_labels, counts, {.ranking = true});
  EXPECT_NEAR(*all.average_precision, (0.9534662867996202 + 0.7535714285714286 + 0.34090909090909094) / 3, 0.003);
  EXPECT_NEAR(*all.classes[2].roc_auc, 0.6607142857142856, 0.02);  // equal digits are not equal as softmax of floats
  EXPECT_NEAR(*all.mcc, 0.41032745177929075, 1e-12);
  EXPECT_NEAR(*all.brier, 0.371525, 1e-6);
  const Evaluation plain = evaluate(view, test::k_labels, counts);
  EXPECT_FALSE(plain.average_precision);
  EXPECT_FALSE(plain.classes[0].roc_auc);
  EXPECT_EQ(plain.nll, all.nll);
  EXPECT_EQ(plain.brier, all.brier);
}

TEST(Evaluation, OfTwoClassesTheMetricsOfRankingAreOfTheOneWithFewerTrainingSamples) {
  const std::vector<float> logits = {2, 0, 1, 0, 0, 1, 0, 3, 3, 0};  // probability of class 1 rises with z[1] - z[0]
  const std::vector<std::int64_t> labels = {0, 1, 0, 1, 0};
  const MatrixView<const float> view{logits.data(), 5, 2};
  const Evaluation first = evaluate(view, labels, ClassCounts({2, 30})),
                   second = evaluate(view, labels, ClassCounts({30, 2}));
  // By z[1] - z[0]: labels 1, 0, 1, 0, 0.
  EXPECT_NEAR(*second.average_precision, (1 + 2.0 / 3) / 2, 1e-12);
  EXPECT_NEAR(*second.roc_auc, 5.0 / 6, 1e-12);
  EXPECT_NEAR(*first.average_precision, (1 + 1 + 3.0 / 4) / 3, 1e-12);
  EXPECT_EQ(first.roc_auc, second.roc_auc);
  EXPECT_EQ(Json(first).get<Evaluation>().average_precision, first.average_precision);
}

TEST(Evaluation, AFileOfAnEarlierVersionLacksTheLaterMetrics) {
  const std::vector<float> logits = {1, 0, 0, 1};
  Json json = evaluate({logits.data(), 2, 2}, std::vector<std::int64_t>{0, 1}, ClassCounts({1, 1}));
  for (const char* name : {"mcc", "brier", "average_precision", "roc_auc"}) json.erase(name);
  for (Json& of_class : json["classes"]) of_class.erase("roc_auc");
  const Evaluation read = json.get<Evaluation>();
  EXPECT_FALSE(read.mcc);
  EXPECT_FALSE(read.classes[0].roc_auc);
  EXPECT_EQ(read.top1, 1);
}

}  // namespace
}  // namespace ulmus
