#include "ulmus/report/summary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "report/phrases.hpp"
#include "report/synthetic_run.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

/// A run in memory: loss names, and the balanced accuracy of each of their seeds.
RunFolder made_run(const std::vector<std::pair<std::string, std::vector<double>>>& losses) {
  RunFolder run;
  run.data = "data";
  run.class_names = {"often", "seldom"};
  run.train_counts = {1000, 10};
  std::int64_t order = 0;
  for (const auto& [loss, seeds] : losses) {
    for (std::size_t seed = 0; seed < seeds.size(); ++seed) {
      TrialResult& member = run.results.emplace_back();
      member.order = order;
      member.loss = loss;
      member.seed = static_cast<std::int64_t>(seed);
      member.seconds = 10 + static_cast<double>(seed);
      const std::vector<float> logits = {1, 0, 1, 0};
      member.test = evaluate({logits.data(), 2, 2}, std::vector<std::int64_t>{0, 1}, ClassCounts(run.train_counts));
      member.train = member.test;
      member.test.balanced_accuracy = seeds[seed];
    }
    ++order;
  }
  return run;
}

TEST(SelectionPhrase, SaysWhatWasChosenForWhichLoss) {
  RunFolder run = made_run({{"ce", {0.5, 0.6}}, {"elm:lambda=auto+drw", {0.6, 0.7}}, {"ce/crt", {0.6, 0.6}}});
  EXPECT_EQ(selection_phrase(summarize(run)), "Weights of the last epoch; nothing was chosen on the test set");
  run.validation_per_class = 20;
  run.results[2].selection = Selection{"lambda=0.25", 5};
  run.results[3].selection = Selection{"lambda=0.5", 5};
  for (const std::size_t i : {4u, 5u}) run.results[i].selection = Selection{"head crt", 9};
  EXPECT_EQ(
      selection_phrase(summarize(run)),
      "Weights of the last epoch; nothing was chosen on the test set (20 images of each class held out for "
      "validation, which chose: lambda=0.25, lambda=0.5 for elm:lambda=auto+drw (of 5 tried); head crt for ce/crt "
      "(of 9 tried))");
  EXPECT_EQ(nlohmann::json::parse(to_json(summarize(run))).at("results")[1].at("selections")[1].at("chosen"),
            "lambda=0.5");
}

TEST(StudentT, MatchesPublishedPoints) {
  const std::vector<std::pair<std::int64_t, double>> published = {
      {1, 12.706204736}, {2, 4.302652730},  {3, 3.182446305},  {4, 2.776445105},   {5, 2.570581836},
      {9, 2.262157163},  {10, 2.228138852}, {30, 2.042272456}, {100, 1.983971519}, {1000, 1.962339081}};
  for (const auto& [freedom, point] : published) EXPECT_NEAR(student_t_95(freedom), point, 1e-8) << freedom;
}

TEST(StudentT, FallsTowardsTheNormalPoint) {
  for (std::int64_t freedom = 1; freedom < 60; ++freedom)
    EXPECT_GT(student_t_95(freedom), student_t_95(freedom + 1)) << freedom;
  EXPECT_NEAR(student_t_95(1'000'000), 1.959963985, 1e-5);
}

TEST(StudentT, NeedsADegreeOfFreedom) { EXPECT_THROW(student_t_95(0), Error); }

TEST(MeanInterval, ByHand) {
  const std::vector<double> values = {0.1, 0.2, 0.3};
  const Interval interval = mean_interval(values).value();
  EXPECT_NEAR(interval.low, 0.2 - 4.302652730 * 0.1 / std::sqrt(3), 1e-9);
  EXPECT_NEAR(interval.high, 0.2 + 4.302652730 * 0.1 / std::sqrt(3), 1e-9);
}

TEST(MeanInterval, IsNotClipped) {
  const std::vector<double> values = {0.9, 1.0};
  EXPECT_GT(mean_interval(values)->high, 1);
}

TEST(MeanInterval, NeedsTwoValues) {
  EXPECT_FALSE(mean_interval(std::vector<double>{0.5}).has_value());
  EXPECT_FALSE(mean_interval({}).has_value());
}

TEST(Summary, MeansAndValuesOfSeeds) {
  const Summary summary = summarize(made_run({{"ce", {0.5, 0.7}}, {"elm", {0.8, 0.9, 1.0}}}));
  ASSERT_EQ(summary.losses.size(), 2U);
  EXPECT_EQ(summary.seeds, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_DOUBLE_EQ(summary.imbalance_ratio, 100);
  const MetricSummary& metric = summary.losses[0].test.at("balanced_accuracy");
  EXPECT_DOUBLE_EQ(*metric.mean, 0.6);
  EXPECT_EQ(metric.values.size(), 2U);
  EXPECT_DOUBLE_EQ(summary.losses[0].seconds, 10.5);
  EXPECT_EQ(summary.losses[0].test.worst_classes, (std::vector<std::string>{"seldom", "seldom"}));
}

TEST(Summary, GroupWithoutClassesIsNull) {
  const nlohmann::json json = nlohmann::json::parse(to_json(summarize(made_run({{"ce", {0.5, 0.7}}}))));
  const nlohmann::json& medium = json["results"][0]["test"]["medium_shot"];
  EXPECT_TRUE(medium["mean"].is_null());
  EXPECT_TRUE(medium["interval"].is_null());
  EXPECT_EQ(medium["values"], nlohmann::json({nullptr, nullptr}));
}

TEST(Summary, OneSeedHasNoInterval) {
  const nlohmann::json json = nlohmann::json::parse(to_json(summarize(made_run({{"ce", {0.5}}}))));
  EXPECT_TRUE(json["results"][0]["test"]["top1"]["interval"].is_null());
  EXPECT_EQ(json["results"][0]["test"]["balanced_accuracy"]["mean"], 0.5);
  EXPECT_TRUE(json["results"][0]["validation"].is_null());
}

TEST(Summary, JsonHasEveryMetricAndFact) {
  const nlohmann::json json = nlohmann::json::parse(to_json(summarize(made_run({{"ce", {0.5, 0.7}}}))));
  EXPECT_EQ(json["schema_version"], 1);
  for (const char* key : {"ulmus", "command", "data", "data_sha256", "split_sha256", "imbalance", "imbalance_ratio",
                          "class_names", "train_counts", "seeds", "epochs"})
    EXPECT_TRUE(json.contains(key)) << key;
  for (const char* set : {"test", "train"})
    for (const char* metric :
         {"balanced_accuracy", "top1", "top5", "macro_f1", "geometric_mean", "many_shot", "medium_shot", "few_shot",
          "worst_class", "ece", "nll", "mcc", "average_precision", "roc_auc", "brier"})
      EXPECT_EQ(json["results"][0][set][metric]["values"].size(), 2U) << set << " " << metric;
}

TEST(Summary, UnknownMetricNamesTheNearest) {
  try {
    metric_index("balanced_acuracy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("balanced_accuracy"), std::string::npos);
  }
}

TEST(Summary, MembersWithoutAResultAreUnfinished) {
  RunFolder run = made_run({{"ce", {0.5}}});
  EpochRecord record;
  record.loss = "ce";
  run.epochs.push_back(record);
  record.seed = 1;
  run.epochs.insert(run.epochs.end(), 2, record);
  EXPECT_EQ(summarize(run).unfinished, (std::vector<std::string>{"ce, seed 1"}));
}

TEST(Finding, SaysWhenTheSeedsAgree) {
  const RunFolder run = made_run({{"ce", {0.70, 0.72, 0.71}}, {"elm+drw", {0.80, 0.82, 0.81}}});
  const std::string text = conclusion(run, summarize(run));
  EXPECT_NE(text.find("elm+drw raises balanced accuracy on the test set from 71.0% to 81.0% (+10.0 points) over ce; "
                      "the seeds agree"),
            std::string::npos)
      << text;
}

TEST(Finding, SaysWhenADifferenceMayBeChance) {
  const RunFolder run = made_run({{"ce", {0.70, 0.80, 0.71}}, {"elm", {0.80, 0.70, 0.75}}});
  EXPECT_NE(conclusion(run, summarize(run)).find("leave room for chance"), std::string::npos);
}

TEST(Finding, PairsSeedsBeforeItJudges) {
  // Seeds differ by far more than losses, but in the same way for both losses.
  const RunFolder run = made_run({{"ce", {0.50, 0.70, 0.90}}, {"elm", {0.51, 0.712, 0.911}}});
  EXPECT_NE(conclusion(run, summarize(run)).find("the seeds agree"), std::string::npos);
}

TEST(Finding, SaysWhenTheBaselineWins) {
  const RunFolder run = made_run({{"elm", {0.70}}, {"ce", {0.75}}});
  const std::string text = conclusion(run, summarize(run));
  EXPECT_EQ(text.find("No loss of this run beats ce"), 0U) << text;
  EXPECT_NE(text.find("one seed cannot tell"), std::string::npos) << text;
}

TEST(Finding, OfOneLossIsAStatement) {
  const RunFolder run = made_run({{"elm", {0.70}}});
  EXPECT_EQ(conclusion(run, summarize(run)).find("elm reaches a balanced accuracy of 70.0%"), 0U);
}

}  // namespace
}  // namespace ulmus
