#include "ulmus/eval/scores.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/score_samples.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/eval/costs.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/eval/temperature.hpp"

namespace ulmus {
namespace {

using test::k_labels;
using test::k_scores;
using Numbers = std::vector<double>;

const ClassCounts k_counts({55, 30, 15});
const Numbers k_prior = {0.55, 0.30, 0.15};

void expect_row(const ScoreMatrix& p, std::int64_t i, const Numbers& expected) {
  for (std::size_t j = 0; j < expected.size(); ++j) EXPECT_NEAR(p.row(i)[j], expected[j], 1e-12) << i << ' ' << j;
}

std::string message_of(const ScoreMatrix& scores, bool logits = false, const ScoreNames& names = {}) {
  try {
    log_scores(scores, logits, names);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.what();
  }
  return "no error";
}

// The numbers are those of ulmus.adjust of the Python package.

TEST(Scores, APriorIsDividedOutAndMultipliedIn) {
  ScoreMatrix logs = log_scores(k_scores, false);
  correct_prior(logs, k_prior, Numbers(3, 1.0 / 3));
  expect_row(probabilities(logs), 0, {0.576923076923077, 0.10576923076923075, 0.31730769230769235});
  expect_row(probabilities(logs), 1, {0.5510204081632653, 0.336734693877551, 0.11224489795918374});
  correct_prior(logs, Numbers(3, 1.0 / 3), k_prior);
  expect_row(probabilities(logs), 0, {0.8, 0.08, 0.12});
}

TEST(Scores, LogitAdjustmentOfOneIsTheCorrectionToTheUniformPrior) {
  ScoreMatrix half = log_scores(k_scores, false), whole = half, corrected = half;
  logit_adjustment(half, k_counts, 0.5);
  expect_row(probabilities(half), 0, {0.7029240652219151, 0.09517636835676112, 0.2018995664213237});
  logit_adjustment(whole, k_counts, 1);
  correct_prior(corrected, k_prior, Numbers(3, 1.0 / 3));
  for (std::size_t i = 0; i < whole.values.size(); ++i) EXPECT_NEAR(whole.values[i], corrected.values[i], 1e-9);
}

TEST(Scores, ATemperatureLeavesTheFrequencies) {
  ScoreMatrix logs = log_scores(k_scores, false);
  apply_temperature(logs, 2, k_prior);
  expect_row(probabilities(logs), 0, {0.6964711551984096, 0.16266061768827542, 0.14086822711331493});
  ScoreMatrix of_prior = log_scores({.classes = 3, .values = k_prior}, false);
  apply_temperature(of_prior, 7, k_prior);
  expect_row(probabilities(of_prior), 0, k_prior);
  EXPECT_THROW(apply_temperature(logs, 0), Error);
}

TEST(Scores, TheTemperatureIsTheOneOfLeastLogLoss) {
  const ScoreMatrix logs = log_scores(k_scores, false);
  EXPECT_NEAR(fit_temperature(logs, k_labels), 0.8522154919887075, 1e-5);
  EXPECT_NEAR(fit_temperature(logs, k_labels, k_prior), 0.7896299138804694, 1e-5);
  EXPECT_THROW(fit_temperature(logs, {}), Error);
}

TEST(Scores, LogitsAndTheirProbabilitiesAreTheSame) {
  const ScoreMatrix logs = log_scores(k_scores, false);
  ScoreMatrix shifted = logs;
  for (double& z : shifted.values) z += 300;
  const ScoreMatrix again = log_scores(shifted, true);
  for (std::size_t i = 0; i < logs.values.size(); ++i) EXPECT_NEAR(again.values[i], logs.values[i], 1e-9);
}

TEST(Scores, TheLeastExpectedCostDecides) {
  const ScoreMatrix two = log_scores({.classes = 2, .values = {0.8, 0.2, 0.95, 0.05}}, false);
  EXPECT_EQ(decide(two, {.classes = 2, .values = {0, 1, 9, 0}}), (std::vector<std::int64_t>{1, 0}));
  EXPECT_EQ(decide(log_scores(k_scores, false), {.classes = 3, .values = test::k_costs}),
            (std::vector<std::int64_t>{1, 1, 2, 0, 1, 1, 1, 0, 0, 1, 1, 1, 2, 1, 2, 1}));
  EXPECT_THROW(decide(two, {.classes = 3, .values = test::k_costs}), Error);
}

TEST(Scores, OfEqualScoresTheLowestClassIsPredicted) {
  const ScoreMatrix logs = log_scores({.classes = 3, .values = {0.4, 0.4, 0.2}}, false);
  EXPECT_EQ(most_probable(logs), (std::vector<std::int64_t>{0}));
  EXPECT_EQ(most_probable(logs, Numbers{0, 0.1, 0}), (std::vector<std::int64_t>{1}));
}

TEST(Scores, MistakesNameTheRowAndTheClass) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  const ScoreNames names{.classes = {"cat", "dog"},
                         .row = [](std::int64_t i) { return "line " + std::to_string(i + 2); }};
  EXPECT_EQ(message_of({.classes = 2, .values = {0.5, 0.5, 0.2, 0.7}}),
            "row 1: the probabilities sum to 0.9, expected 1; divide each row by its sum, or give logits for logits");
  EXPECT_EQ(message_of({.classes = 2, .values = {0.5, nan}}, false, names),
            "line 2: the probability of class 'dog' is nan, expected a number");
  EXPECT_EQ(message_of({.classes = 2, .values = {0.5, infinite}}, true),
            "row 0: the logit of class 1 is inf, expected a finite number");
  EXPECT_EQ(message_of({.classes = 2, .values = {-0.5, 1.5}}),
            "row 0: the probability of class 0 is -0.5, expected 0 to 1; give logits for logits");
  EXPECT_NE(message_of({.classes = 1, .values = {1}}).find("at least two"), std::string::npos);
  EXPECT_EQ(message_of({.classes = 2, .values = {0.5, 0.5004}}), "no error");
}

}  // namespace
}  // namespace ulmus
