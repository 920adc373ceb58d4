#include "ulmus/eval/posthoc.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/eval/temperature.hpp"

namespace ulmus {
namespace {

using Numbers = std::vector<double>;

const ClassCounts k_counts({500, 50, 5});

std::string message_of(const std::function<void()>& action, ErrorKind kind = ErrorKind::usage) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

ScoreTransform adjusted(const char* text, double scale = 1) {
  ScoreTransform scores{.scale = scale};
  PostHoc::parse(text).apply(scores, k_counts);
  return scores;
}

Numbers scores_of(const ScoreTransform& scores, const std::vector<float>& z) {
  Numbers u(z.size());
  scores.apply(z, u);
  return u;
}

Numbers probabilities_of(const ScoreTransform& scores, const std::vector<float>& z) {
  Numbers p(z.size());
  scores.probabilities(z, p);
  return p;
}

void expect_near(const Numbers& came, const Numbers& expected, double tolerance = 1e-12) {
  ASSERT_EQ(came.size(), expected.size());
  for (std::size_t j = 0; j < came.size(); ++j) EXPECT_NEAR(came[j], expected[j], tolerance) << j;
}

TEST(PostHoc, IsTheTextItWasMadeOf) {
  for (const char* text : {"none", "la:tau=1", "la:tau=0.25", "mla:tau=0.65", "tau-norm:tau=1", "mla:tau=0"})
    EXPECT_EQ(PostHoc::parse(text).text(), text);
  EXPECT_EQ(PostHoc::parse("la").text(), "la:tau=1");
  EXPECT_EQ(PostHoc::parse("mla").text(), "mla:tau=0.65");
  EXPECT_EQ(PostHoc::parse("tau-norm").text(), "tau-norm:tau=1");
}

TEST(PostHoc, RefusesWhatItIsNot) {
  EXPECT_NE(message_of([] { PostHoc::parse("mlaa"); }).find("did you mean 'mla'"), std::string::npos);
  EXPECT_NE(message_of([] { PostHoc::parse(""); }).find("choose one of"), std::string::npos);
  for (const char* text : {"la:", "la:1", "la:tau=", "la:tau=x", "la:tau=-1", "la:tau=nan", "none:tau=1", "la:rho=1"})
    EXPECT_FALSE(message_of([&] { PostHoc::parse(text); }).empty()) << text;
}

TEST(PostHoc, LaAddsAndMlaMultipliesOnTheScaledLogits) {
  const std::vector<float> z = {0.5f, -0.25f, 0.125f};
  const Numbers pi = k_counts.prior();
  expect_near(scores_of(adjusted("la:tau=0.5", 8), z),
              {4 - 0.5 * std::log(pi[0]), -2 - 0.5 * std::log(pi[1]), 1 - 0.5 * std::log(pi[2])});
  expect_near(scores_of(adjusted("mla:tau=0.5", 8), z),
              {4 / std::sqrt(pi[0]), -2 / std::sqrt(pi[1]), 1 / std::sqrt(pi[2])});
}

TEST(PostHoc, NeedsEveryClass) {
  ScoreTransform scores;
  const ClassCounts gap({3, 0, 2});
  for (const char* text : {"la", "mla"})
    EXPECT_NE(message_of([&] { PostHoc::parse(text).apply(scores, gap); }, ErrorKind::data).find("class 1"),
              std::string::npos);
}

TEST(PostHoc, TauNormDividesRowsByTheirNorm) {
  const auto normalised = [](const char* text) {
    std::vector<float> weight = {3, 4, 0, 0, 0, 0.5f};
    PostHoc::parse(text).normalise({weight.data(), 3, 2});
    return weight;
  };
  EXPECT_EQ(normalised("tau-norm:tau=1"), (std::vector<float>{0.6f, 0.8f, 0, 0, 0, 1}));
  EXPECT_EQ(normalised("tau-norm:tau=2"), (std::vector<float>{0.12f, 0.16f, 0, 0, 0, 2}));
  EXPECT_EQ(normalised("tau-norm:tau=0"), (std::vector<float>{3, 4, 0, 0, 0, 0.5f}));
}

TEST(ScoreTransform, OfAnythingAreAdjustedInTheUnitsOfTheHead) {
  ScoreTransform scores = adjusted("la", 4);
  scores.temperature = 2;
  const std::vector<float> z = {0.5f, -0.25f, 0.125f};
  std::vector<float> rows = z;
  scores.adjust({rows.data(), 1, 3});
  const Numbers u = scores_of(scores, z);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(rows[j] * 4 / 2, u[j], 1e-6);
  std::vector<float> same = z;
  ScoreTransform{.scale = 3, .temperature = 0.5}.adjust({same.data(), 1, 3});
  EXPECT_EQ(same, z);
}

TEST(ScoreTransform, ProbabilitiesDoNotOverflow) {
  expect_near(probabilities_of({.scale = 1e6}, {1e6f, 0, -1e6f}), {1, 0, 0});
}

TEST(Prior, ReadsEveryForm) {
  const ClassCounts counts({6, 3, 1});
  expect_near(parse_prior("uniform", counts), {1.0 / 3, 1.0 / 3, 1.0 / 3});
  expect_near(parse_prior("train", counts), {0.6, 0.3, 0.1});
  expect_near(parse_prior("1,2,1", counts), {0.25, 0.5, 0.25});
}

TEST(Prior, OfAFileMayNameItsClassesInAnyOrder) {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "prior.csv").string();
  const ClassCounts counts({6, 3, 1}, {"0", "2", "10"});
  write_file(file, "class,count\r\n10,1\r\n0,1\r\n2,2\r\n");
  expect_near(parse_prior(file, counts), {0.25, 0.5, 0.25});
  write_file(file, "1\n2\n1\n");
  expect_near(parse_prior(file, counts), {0.25, 0.5, 0.25});
  write_file(file, "0,1\n1,1\n2,1\n");
  EXPECT_NE(message_of([&] { parse_prior(file, counts); }, ErrorKind::data).find("line 2 names '1', which is no class"),
            std::string::npos);
  write_file(file, "10,1\n0,0\n2,1\n");
  EXPECT_NE(message_of([&] { parse_prior(file, counts); }, ErrorKind::data).find("line 2 of"), std::string::npos);
}

TEST(Prior, RefusesWhatIsNone) {
  const auto refused = [](const std::string& text, const std::string& part) {
    const std::string message = message_of([&] { parse_prior(text, k_counts); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  refused("0.5,0.5", "2 numbers, expected one for each of 3");
  refused("0.5,0,0.5", "number 2");
  refused("0.5,-1,0.5", "number 2");
  refused("0.5,x,0.5", "'x'");
  refused("1", "1 numbers");
  refused("uniforn", "did you mean 'uniform'");
  refused("no-such-file", "is no file");
  refused("", "is no file");
  refused(std::string(5000, 'x'), "is no file");
}

TEST(Prior, OfLargeNumbersHasTheSumOne) { expect_near(parse_prior("8e307,8e307,16e307", k_counts), {0.25, 0.25, 0.5}); }

TEST(Prior, OfEachLossIsWhatItsOptimumAssumes) {
  const auto assumed = [](const char* loss) { return assumed_prior(LossSpec::parse(loss), k_counts); };
  const Numbers pi = k_counts.prior(), uniform(3, 1.0 / 3);
  for (const char* loss : {"ce", "ldam", "elm", "focal", "la:tau=0", "seesaw"}) {
    SCOPED_TRACE(loss);
    expect_near(assumed(loss), pi);
  }
  for (const char* loss : {"bs", "la", "la:scale=30", "vs:gamma=0.1", "ce+inverse", "ldam+inverse"}) {
    SCOPED_TRACE(loss);
    expect_near(assumed(loss), uniform);
  }
  expect_near(assumed("lade"), uniform, 1e-6);
  Numbers root = pi;
  double sum = 0;
  for (double& p : root) sum += p = std::sqrt(p);
  for (double& p : root) p /= sum;
  expect_near(assumed("la:tau=0.5"), root);

  Numbers weighted = k_counts.effective_number_weights(0.9999);
  sum = 0;
  for (std::size_t j = 0; j < 3; ++j) sum += weighted[j] *= pi[j];
  for (double& p : weighted) p /= sum;
  expect_near(assumed("ce+drw"), weighted);
  expect_near(assumed("elm+cb"), weighted);
}

TEST(Prior, CorrectionIsBayesRule) {
  const Numbers q = {0.2, 0.3, 0.5}, pi = k_counts.prior();
  const std::vector<float> z = {1, 0.5f, -1};
  const Numbers before = probabilities_of({.scale = 2}, z);
  ScoreTransform scores{.scale = 2};
  correct_prior(scores, pi, q);
  Numbers expected(3);
  double sum = 0;
  for (std::size_t j = 0; j < 3; ++j) sum += expected[j] = before[j] * q[j] / pi[j];
  for (double& p : expected) p /= sum;
  expect_near(probabilities_of(scores, z), expected);
}

TEST(Prior, CorrectionToUniformIsLaWithTauOne) {
  ScoreTransform corrected{.scale = 3};
  correct_prior(corrected, assumed_prior(LossSpec::parse("ce"), k_counts), parse_prior("uniform", k_counts));
  expect_near(probabilities_of(corrected, {1, 0, -1}), probabilities_of(adjusted("la", 3), {1, 0, -1}));
  const auto la = PostHoc::parse("la:tau=1");
  expect_near(assumed_prior(k_counts.prior(), la, k_counts), Numbers(3, 1.0 / 3));
  ScoreTransform both = adjusted("la", 3);
  correct_prior(both, assumed_prior(k_counts.prior(), la, k_counts), k_counts.prior());
  expect_near(probabilities_of(both, {1, 0, -1}), probabilities_of({.scale = 3}, {1, 0, -1}));
}

TEST(Prior, CannotBeNamedAfterWhatIsNoPriorShift) {
  for (const char* text : {"mla", "tau-norm"})
    EXPECT_NE(message_of([&] { assumed_prior(k_counts.prior(), PostHoc::parse(text), k_counts); }).find(text),
              std::string::npos);
}

TEST(Prior, AccuracyUnderItWeighsTheRecalls) {
  Evaluation evaluation;
  for (const std::optional<double> recall : {std::optional(0.5), std::optional(1.0), std::optional<double>()})
    evaluation.classes.push_back({.recall = recall});
  EXPECT_DOUBLE_EQ(accuracy_under(evaluation, Numbers{0.3, 0.1, 0.6}), (0.3 * 0.5 + 0.1) / 0.4);
}

/// Logits whose labels follow softmax(z / T) exactly: one row, each class as often as its probability requires.
TEST(Temperature, FindsTheOneThatMadeTheLabels) {
  for (const double truth : {0.5, 1.0, 3.0}) {
    const std::vector<float> z = {2, 0, -1};
    const Numbers p = probabilities_of({.temperature = truth}, z);
    std::vector<float> rows;
    std::vector<std::int64_t> labels;
    for (std::int64_t j = 0; j < 3; ++j) {
      rows.insert(rows.end(), z.begin(), z.end());
      labels.push_back(j);
    }
    EXPECT_NEAR(fit_temperature({rows.data(), 3, 3}, labels, {}, p), truth, 1e-6);
    // Doubling the logits and halving the scale gives the same model.
    EXPECT_NEAR(fit_temperature({rows.data(), 3, 3}, labels, {.scale = 2}, p), 2 * truth, 1e-6);
  }
}

TEST(Temperature, LeavesThePriorAlone) {
  const std::vector<float> z = {2, 0, -1};
  ScoreTransform scores = adjusted("la");
  scores.temperature = 1.7;
  const Numbers p = probabilities_of(scores, z);
  std::vector<float> rows;
  for (int i = 0; i < 3; ++i) rows.insert(rows.end(), z.begin(), z.end());
  const std::vector<std::int64_t> labels = {0, 1, 2};
  EXPECT_NEAR(fit_temperature({rows.data(), 3, 3}, labels, adjusted("la"), p), 1.7, 1e-6);
}

TEST(Temperature, StopsAtItsBounds) {
  const std::vector<float> z = {1, 0};
  EXPECT_EQ(fit_temperature({z.data(), 1, 2}, std::vector<std::int64_t>{0}, {}), k_lowest_temperature);
  EXPECT_EQ(fit_temperature({z.data(), 1, 2}, std::vector<std::int64_t>{1}, {}), k_highest_temperature);
  EXPECT_FALSE(message_of([&] { fit_temperature({z.data(), 1, 2}, {}, {}); }, ErrorKind::data).empty());
}

}  // namespace
}  // namespace ulmus
