#include "ulmus/trees/booster.hpp"

#include <gtest/gtest.h>
#include <xgboost/c_api.h>

#include <cmath>
#include <limits>

#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/trees/objective.hpp"

namespace ulmus {
namespace {

constexpr float k_missing = std::numeric_limits<float>::quiet_NaN();

/// Classes that follow from three columns, with noise; the first class is frequent, the last rare.
struct Rows {
  std::vector<float> values;
  std::vector<std::int64_t> labels;
  std::int64_t classes, width = 3;

  Rows(std::int64_t rows, std::int64_t of_classes) : classes(of_classes) {
    Stream random(7, "rows");
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t label = random.uniform() < 0.7 ? 0 : static_cast<std::int64_t>(random.below(of_classes));
      labels.push_back(label);
      const auto centre = static_cast<double>(label);
      for (int c = 0; c < 3; ++c) values.push_back(static_cast<float>(centre * (c == 1 ? -1 : 1) + random.normal()));
    }
  }
  std::int64_t size() const { return std::ssize(labels); }
  MatrixView<const float> view() const { return {values.data(), size(), width}; }
  std::vector<std::int64_t> counts() const {
    std::vector<std::int64_t> result(static_cast<std::size_t>(classes), 0);
    for (const std::int64_t label : labels) ++result[static_cast<std::size_t>(label)];
    return result;
  }
};

FeatureColumns numbers(std::size_t width) {
  FeatureColumns columns;
  for (std::size_t i = 0; i < width; ++i) {
    columns.names.push_back("column " + std::to_string(i));
    columns.levels.push_back(0);
  }
  return columns;
}

/// Grows `rounds` more rounds.
void grow(Booster& booster, const FeatureMatrix& matrix, TreeObjective& objective, std::int64_t rounds) {
  for (std::int64_t i = 0; i < rounds; ++i) {
    const std::vector<float> scores = booster.scores(matrix);
    std::vector<float> gradient(scores.size()), hessian(scores.size());
    objective.evaluate(scores, gradient, hessian);
    booster.boost(matrix, gradient, hessian);
  }
}

TreeObjective objective_of(const Rows& rows, const std::string& loss) {
  return {Loss(LossSpec::parse(loss), ClassCounts(rows.counts())), Reduction::weighted_mean, rows.labels, 1};
}

/// The scores of XGBoost's own objective after as many rounds.
std::vector<float> builtin_scores(const Rows& rows, const TreeOptions& options) {
  DMatrixHandle matrix = nullptr;
  BoosterHandle booster = nullptr;
  XGDMatrixCreateFromMat(rows.values.data(), static_cast<bst_ulong>(rows.size()), static_cast<bst_ulong>(rows.width),
                         k_missing, &matrix);
  const std::vector<float> labels(rows.labels.begin(), rows.labels.end());
  XGDMatrixSetFloatInfo(matrix, "label", labels.data(), labels.size());
  XGBoosterCreate(&matrix, 1, &booster);
  const auto set = [&](const char* name, const std::string& value) { XGBoosterSetParam(booster, name, value.c_str()); };
  set("objective", rows.classes == 2 ? "binary:logistic" : "multi:softprob");
  if (rows.classes > 2) set("num_class", std::to_string(rows.classes));
  set("tree_method", "hist");
  set("nthread", "1");
  set("verbosity", "0");
  set("eta", std::to_string(options.eta));
  set("max_depth", std::to_string(options.depth));
  set("lambda", std::to_string(options.l2));
  set("min_child_weight", std::to_string(options.min_child_weight));
  for (int i = 0; i < options.rounds; ++i) EXPECT_EQ(XGBoosterUpdateOneIter(booster, i, matrix), 0);
  bst_ulong size = 0;
  const float* out = nullptr;
  XGBoosterPredict(booster, matrix, 1, 0, 0, &size, &out);
  std::vector<float> scores(out, out + size);
  XGBoosterFree(booster);
  XGDMatrixFree(matrix);
  return scores;
}

TEST(Booster, CrossEntropyGrowsTheTreesOfXgboostsOwnSoftmaxAndLogistic) {
  for (const std::int64_t classes : {2, 4}) {
    const Rows rows(800, classes);
    const TreeOptions options{.rounds = 20, .depth = 4, .eta = 0.25, .min_child_weight = 1, .l2 = 1};
    const FeatureMatrix matrix(rows.view(), numbers(3), 1);
    Booster booster(options, classes, numbers(3), 0, 1, std::vector{matrix});
    TreeObjective objective = objective_of(rows, "ce");
    grow(booster, matrix, objective, options.rounds);
    const std::vector<float> ours = booster.scores(matrix), expected = builtin_scores(rows, options);
    ASSERT_EQ(ours.size(), expected.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
      EXPECT_NEAR(ours[i] - (classes == 2 ? 0 : ours[i / classes * classes]),
                  expected[i] - (classes == 2 ? 0 : expected[i / classes * classes]), 2e-3)
          << "score " << i << " of " << classes << " classes";
  }
}

TEST(Booster, GoesOnAfterSavingToTheSameBytes) {
  for (const char* model : {"trees:depth=4", "trees:depth=4,subsample=0.6"}) {
    const Rows rows(600, 3);
    const TreeOptions options = TreeOptions::parse(model);
    const FeatureMatrix matrix(rows.view(), numbers(3), 1);
    TreeObjective objective = objective_of(rows, "elm:lambda=0.5");
    Booster whole(options, 3, numbers(3), 5, 1, std::vector{matrix});
    grow(whole, matrix, objective, 20);

    Booster begun(options, 3, numbers(3), 5, 1, std::vector{matrix});
    grow(begun, matrix, objective, 8);
    const std::string saved = begun.save(BoosterFormat::ubj);
    const FeatureMatrix again(rows.view(), numbers(3), 1);
    Booster resumed(saved, options, 3, numbers(3), 5, 1, std::vector{again});
    EXPECT_EQ(resumed.rounds(), 8);
    grow(resumed, again, objective, 12);
    EXPECT_TRUE(resumed.save(BoosterFormat::ubj) == whole.save(BoosterFormat::ubj)) << model;
    EXPECT_EQ(resumed.scores(again), whole.scores(matrix)) << model;
  }
}

TEST(Booster, SeedsChangeTheTreesOnlyWhereRowsOrColumnsAreDrawn) {
  const Rows rows(500, 3);
  const FeatureMatrix matrix(rows.view(), numbers(3), 1);
  const auto grown = [&](const char* model, std::uint64_t seed) {
    Booster booster(TreeOptions::parse(model), 3, numbers(3), seed, 1, std::vector{matrix});
    TreeObjective objective = objective_of(rows, "bs");
    grow(booster, matrix, objective, 5);
    return booster.save(BoosterFormat::ubj);
  };
  EXPECT_TRUE(grown("trees", 0) == grown("trees", 1));
  for (const char* model : {"trees:subsample=0.5", "trees:colsample=0.7"}) {
    EXPECT_TRUE(grown(model, 1) == grown(model, 1)) << model;
    EXPECT_TRUE(grown(model, 0) != grown(model, 1)) << model;
  }
}

TEST(Booster, SplitsOnCategoriesAndOnMissingValues) {
  // The class is whether the category is one of 1, 3, 5, which no single threshold of the codes separates; where the
  // category is missing, it is 1.
  std::vector<float> values;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 420; ++i) {
    const int code = i % 7;
    values.push_back(code == 6 ? k_missing : static_cast<float>(code));
    labels.push_back(code == 6 || code % 2 == 1 ? 1 : 0);
  }
  FeatureColumns columns{.names = {"colour"}, .levels = {6}};
  const FeatureMatrix matrix({values.data(), 420, 1}, columns, 1);
  const TreeOptions options = TreeOptions::parse("trees:depth=1,eta=1,l2=0");
  Booster booster(options, 2, columns, 0, 1, std::vector{matrix});
  TreeObjective objective(Loss(LossSpec::parse("ce"), ClassCounts({180, 240})), Reduction::mean, labels, 1);
  grow(booster, matrix, objective, 3);
  const std::vector<float> scores = booster.scores(matrix);
  for (std::size_t i = 0; i < 420; ++i) EXPECT_EQ(scores[i] > 0, labels[i] == 1) << "row " << i;
}

TEST(Booster, KeepsTheFirstRoundsAndTheirScores) {
  const Rows rows(400, 3);
  const FeatureMatrix matrix(rows.view(), numbers(3), 1);
  const TreeOptions options = TreeOptions::parse("trees:depth=3");
  Booster booster(options, 3, numbers(3), 0, 1, std::vector{matrix});
  TreeObjective objective = objective_of(rows, "ldam");
  grow(booster, matrix, objective, 4);
  const std::vector<float> after_four = booster.scores(matrix);
  grow(booster, matrix, objective, 6);
  const Booster first = booster.first(4);
  EXPECT_EQ(first.rounds(), 4);
  EXPECT_EQ(first.scores(matrix), after_four);
}

TEST(Booster, ConstantColumnsGrowTreesWithoutASplit) {
  const std::vector<float> values(120, 1.5F);
  const std::vector<std::int64_t> labels = [] {
    std::vector<std::int64_t> result(60, 0);
    result[7] = 1;  // a class with one row
    return result;
  }();
  const FeatureMatrix matrix({values.data(), 60, 2}, numbers(2), 1);
  Booster booster(TreeOptions(), 2, numbers(2), 0, 1, std::vector{matrix});
  TreeObjective objective(Loss(LossSpec::parse("bs"), ClassCounts({59, 1})), Reduction::mean, labels, 1);
  grow(booster, matrix, objective, 5);
  EXPECT_EQ(booster.splits(), 0);
  for (const double share : booster.importance()) EXPECT_EQ(share, 0);
  for (const float score : booster.scores(matrix)) EXPECT_TRUE(std::isfinite(score));
}

TEST(Booster, WeighsTheColumnsByGain) {
  const Rows rows(600, 2);
  FeatureColumns columns = numbers(3);
  columns.names[1] = "[odd] <name>, \"quoted\"";
  const FeatureMatrix matrix(rows.view(), columns, 1);
  Booster booster(TreeOptions::parse("trees:depth=3"), 2, columns, 0, 1, std::vector{matrix});
  TreeObjective objective = objective_of(rows, "ce");
  grow(booster, matrix, objective, 5);
  double sum = 0;
  for (const double share : booster.importance()) sum += share;
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_GT(booster.splits(), 0);
  EXPECT_NE(booster.save(BoosterFormat::json).find("quoted"), std::string::npos);
}

TEST(Booster, RefusesBytesThatAreNoModelAndInfiniteValues) {
  try {
    const Booster booster("no model", TreeOptions(), 2, numbers(3), 0, 1, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
  const std::vector<float> values = {1, 2, std::numeric_limits<float>::infinity(), 4, 5, 6};
  try {
    const FeatureMatrix matrix({values.data(), 2, 3}, numbers(3), 1);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'column 2'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace ulmus
