#include "ulmus/report/adjustment.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "eval/score_samples.hpp"
#include "has.hpp"

namespace ulmus {
namespace {

/// Random scores of these classes, corrected to equal frequencies.
struct Adjusted {
  test::RandomScores random;
  ScoreAdjustment adjustment;
  ScoreComparison comparison;

  explicit Adjusted(std::vector<std::string> names)
      : random(300, std::ssize(names)), adjustment(plan(names), nullptr), comparison(compare(*this)) {}

  AdjustmentReport report() const {
    return {.scores = "scores.csv", .adjustment = adjustment, .comparison = comparison};
  }

 private:
  static AdjustmentPlan plan(const std::vector<std::string>& names) {
    const std::size_t classes = names.size();
    std::vector<double> trained(classes, 0.2 / static_cast<double>(classes - 1));
    trained[0] = 0.8;
    return {.class_names = names,
            .trained_prior = trained,
            .prior = std::vector<double>(classes, 1 / static_cast<double>(classes))};
  }
  static ScoreComparison compare(const Adjusted& adjusted) {
    const ScoreMatrix& logs = adjusted.random.logs;
    Decisions after{.logs = adjusted.adjustment.apply(logs)};
    after.predicted = adjusted.adjustment.predict(after.logs);
    return compare_scores({.logs = logs, .predicted = most_probable(logs)}, after, adjusted.random.labels,
                          {.resamples = 50});
  }
};

std::vector<std::string> numbered(std::size_t classes) {
  std::vector<std::string> names;
  for (std::size_t c = 0; c < classes; ++c) names.push_back(fmt::format("class {}", c));
  return names;
}

TEST(AdjustmentReport, TheTableHasEveryMetricAndItsIntervals) {
  const Adjusted adjusted({"fine", "fraud"});
  const std::string table = adjustment_table(adjusted.report());
  for (const char* part : {"prior corrected from fine 0.8, fraud 0.2 to fine 0.5, fraud 0.5", "balanced accuracy",
                           "average precision", "area under ROC", "Matthews correlation", "recall at precision 0.9",
                           "Brier score", "50 bootstrap samples", "300 samples of scores.csv"})
    EXPECT_TRUE(has(table, part)) << part << "\n" << table;
}

TEST(AdjustmentReport, JsonHasTheNumbersOfTheTable) {
  const Adjusted adjusted({"fine", "fraud"});
  const auto json = nlohmann::json::parse(to_json(adjusted.report()));
  const ComparedMetric& first = adjusted.comparison.metrics.front();
  EXPECT_EQ(json.at("metrics").at("balanced_accuracy").at("after").at("value"), first.after.value);
  EXPECT_EQ(json.at("metrics").at("balanced_accuracy").at("change").at("low"), first.change.low);
  EXPECT_EQ(json.at("after").at("classes").size(), 2u);
  EXPECT_EQ(json.at("positive"), "fraud");
  EXPECT_TRUE(json.at("offsets").is_null());
}

TEST(AdjustmentReport, ThePageIsCompleteWithoutScripts) {
  for (const std::size_t classes : {2, 5, 40}) {
    const Adjusted adjusted(numbered(classes));
    const std::string page = adjustment_html(adjusted.report());
    EXPECT_FALSE(has(page, "<script")) << classes;
    EXPECT_FALSE(has(page, "{{")) << classes;
    for (const char* part : {"Precision-recall", "ROC", "Reliability", "Confusion", "<polyline",
                             "class=\"point c0 before\"", "balanced accuracy", "Content-Security-Policy"})
      EXPECT_TRUE(has(page, part)) << part << ' ' << classes;
    EXPECT_EQ(has(page, "The most frequent confusions"), classes > 30);
  }
}

TEST(AdjustmentReport, HostileNamesAreText) {
  const std::string page = adjustment_html(Adjusted({"<b>x</b>", "\"'&<script>"}).report());
  EXPECT_FALSE(has(page, "<script"));
  EXPECT_FALSE(has(page, "<b>x</b>"));
  EXPECT_TRUE(has(page, "&lt;b&gt;x"));
}

}  // namespace
}  // namespace ulmus
