// Batches in parts: shards of their classes, chunks of their rows.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

constexpr double k_inf = std::numeric_limits<double>::infinity();
constexpr double k_nan = std::numeric_limits<double>::quiet_NaN();

/// A loss and a batch, logits of type T.
template <class T>
struct Problem {
  Loss loss;
  std::int64_t rows, classes, width = 3;
  std::vector<T> logits;
  std::vector<std::int64_t> labels;
  std::vector<double> sample_weights, features, head_weight, head_bias;
  Reduction reduction;

  Problem(const std::string& spec, std::int64_t rows_, std::int64_t classes_, Reduction reduction_)
      : loss(LossSpec::parse(spec), counts(classes_)), rows(rows_), classes(classes_), reduction(reduction_) {
    loss.set_epoch(0, 1);
    Stream stream(7, "parts");
    const bool cosines = loss.spec().choose_head("") == Head::cosine;
    for (std::int64_t i = 0; i < rows; ++i) {
      labels.push_back(i % 9 == 4 ? -100
                                  : static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(classes))));
      sample_weights.push_back(i % 11 == 5 ? 0 : 0.5 + stream.uniform());
      for (std::int64_t k = 0; k < width; ++k) features.push_back(stream.normal());
      for (std::int64_t j = 0; j < classes; ++j)
        logits.push_back(make(cosines ? 1.9 * stream.uniform() - 0.95 : 3 * stream.normal()));
    }
    for (std::int64_t k = 0; k < classes * width; ++k) head_weight.push_back(stream.normal());
    head_bias.resize(static_cast<std::size_t>(classes));
  }

  static T make(double value) {
    if constexpr (std::is_same_v<T, double>) return value;
    return static_cast<T>(static_cast<float>(value));
  }
  static ClassCounts counts(std::int64_t classes) {
    Stream stream(3, "counts");
    std::vector<std::int64_t> values;
    for (std::int64_t j = 0; j < classes; ++j) values.push_back(static_cast<std::int64_t>(1 + stream.below(2000)) + j);
    return ClassCounts(values);
  }

  T& logit(std::int64_t i, std::int64_t j) { return logits[static_cast<std::size_t>(i * classes + j)]; }
  MatrixView<const T> view() const { return {logits.data(), rows, classes}; }
  LossBatch batch() const {
    return {.labels = labels,
            .sample_weights = sample_weights,
            .ignore_index = -100,
            .reduction = reduction,
            .features = {.features = {features.data(), rows, width},
                         .head_weight = {head_weight.data(), classes, width},
                         .head_bias = head_bias}};
  }
};

/// The results of a batch, however it was divided.
template <class T>
struct Result {
  double value = 0;
  std::vector<double> losses, feature_gradient;
  std::vector<T> gradient;

  explicit Result(const Problem<T>& p)
      : losses(static_cast<std::size_t>(p.rows)), feature_gradient(p.features.size()), gradient(p.logits.size()) {}
};

template <class T>
Result<T> evaluate_whole(const Problem<T>& p) {
  Result<T> result(p);
  LossBatch batch = p.batch();
  batch.losses = result.losses;
  batch.features.gradient = {result.feature_gradient.data(), p.rows, p.width};
  result.value = p.loss.evaluate(p.view(), batch, MatrixView<T>(result.gradient.data(), p.rows, p.classes));
  return result;
}

/// The statistics of all classes, merged from those of the shards between `cuts`.
template <class T>
std::vector<RowStatistics> merged_statistics(const Problem<T>& p, const std::vector<std::int64_t>& cuts) {
  std::vector<RowStatistics> all(static_cast<std::size_t>(p.rows));
  for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
    LossBatch batch = p.batch();
    batch.class_offset = cuts[s];
    const MatrixView<const T> shard(p.logits.data() + cuts[s], p.rows, cuts[s + 1] - cuts[s], p.classes);
    const std::vector<RowStatistics> part = p.loss.row_statistics(shard, batch);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = merge(all[i], part[i]);
  }
  return all;
}

template <class T>
Result<T> evaluate_shards(const Problem<T>& p, const std::vector<std::int64_t>& cuts) {
  Result<T> result(p);
  const std::vector<RowStatistics> statistics = merged_statistics(p, cuts);
  for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
    LossBatch batch = p.batch();
    batch.class_offset = cuts[s];
    batch.losses = result.losses;
    batch.features.gradient = {result.feature_gradient.data(), p.rows, p.width};
    const std::int64_t columns = cuts[s + 1] - cuts[s];
    const MatrixView<const T> shard(p.logits.data() + cuts[s], p.rows, columns, p.classes);
    result.value = p.loss.evaluate_shard(shard, batch, statistics,
                                         MatrixView<T>(result.gradient.data() + cuts[s], p.rows, columns, p.classes));
  }
  return result;
}

/// |a - b| / |b|, in norm; infinite if one has a value that is not finite and the other does not have the same value.
template <class T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
  double difference = 0, size = 0;
  for (std::size_t k = 0; k < b.size(); ++k) {
    const auto x = static_cast<double>(a[k]), y = static_cast<double>(b[k]);
    if (x == y || (std::isnan(x) && std::isnan(y))) {
      size += std::isfinite(y) ? y * y : 0;
      continue;
    }
    if (!std::isfinite(x) || !std::isfinite(y)) return k_inf;
    difference += (x - y) * (x - y);
    size += y * y;
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

template <class T>
void expect_same(const Result<T>& actual, const Result<T>& expected) {
  constexpr double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-13;
  EXPECT_LE(distance(std::vector<double>{actual.value}, std::vector<double>{expected.value}), tolerance)
      << actual.value << " against " << expected.value;
  EXPECT_LE(distance(actual.losses, expected.losses), tolerance);
  EXPECT_LE(distance(actual.gradient, expected.gradient), tolerance);
  EXPECT_LE(distance(actual.feature_gradient, expected.feature_gradient), tolerance);
}

/// All forms of a loss: the names of the family, and some with keys or a rule.
std::vector<std::string> specs() {
  std::vector<std::string> texts = {"ce:scale=4+cb",
                                    "elm:lambda=0.5,scale=8",
                                    "elm:lambda=-1+inverse",
                                    "mm:variant=ldam",
                                    "focal:gamma=0.5+inverse",
                                    "poly1+cb",
                                    "ib:from=0,weights=none+cb"};
  for (const LossDefinition& definition : family()) texts.emplace_back(definition.name);
  return texts;
}

/// 1, 2, 3 and 4 shards, of equal and different lengths: some use small-C kernels, some large-C kernels.
std::vector<std::vector<std::int64_t>> cuts_of(std::int64_t classes) {
  std::vector<std::vector<std::int64_t>> all;
  for (std::int64_t shards = 1; shards <= std::min<std::int64_t>(classes, 4); ++shards) {
    std::vector<std::int64_t> cuts;
    for (std::int64_t s = 0; s <= shards; ++s) cuts.push_back(classes * s / shards);
    all.push_back(cuts);
  }
  if (classes > 3) {
    all.push_back({0, 1, classes});
    all.push_back({0, 1, 3, classes - 1, classes});
  }
  return all;
}

template <class T>
void compare_shards() {
  int shardable = 0;
  for (const std::string& spec : specs())
    for (const std::int64_t classes : {2, 11, 60, 1500})
      for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none}) {
        const Problem<T> p(spec, classes > 1000 ? 5 : 21, classes, reduction);
        if (!p.loss.is_shardable()) continue;
        ++shardable;
        const Result<T> whole = evaluate_whole(p);
        for (const auto& cuts : cuts_of(classes)) {
          SCOPED_TRACE(fmt::format("{} {} cut at {}", spec, name_of(reduction), fmt::join(cuts, ", ")));
          expect_same(evaluate_shards(p, cuts), whole);
        }
      }
  EXPECT_GT(shardable, 200);
}

TEST(Shards, OfFloatsTogetherGiveTheWholeBatch) { compare_shards<float>(); }
TEST(Shards, OfDoublesTogetherGiveTheWholeBatch) { compare_shards<double>(); }

TEST(Shards, ABlockedRowIsTheSameInShards) {
  const Problem<double> p("elm:lambda=0.5", 3, 10'000, Reduction::mean);
  expect_same(evaluate_shards(p, {0, 9000, 10'000}), evaluate_whole(p));
}

TEST(Shards, ATieOfTheRivalGoesToTheLowestClassOfAllShards) {
  for (const std::int64_t classes : {8, 40}) {
    Problem<double> p("elm:lambda=0.5", 6, classes, Reduction::mean);
    p.labels = {0, 3, classes - 1, 5, 2, 4};
    p.sample_weights.assign(6, 1);
    for (std::int64_t i = 0; i < p.rows; ++i)
      for (const std::int64_t j : {std::int64_t{1}, classes / 2, classes - 2})
        if (p.labels[static_cast<std::size_t>(i)] != j) p.logit(i, j) = 0.99;
    const Result<double> whole = evaluate_whole(p);
    for (const auto& cuts : cuts_of(classes)) {
      for (const RowStatistics& of_row : merged_statistics(p, cuts)) EXPECT_EQ(of_row.rival_class, 1);
      expect_same(evaluate_shards(p, cuts), whole);
    }
  }
}

TEST(Shards, MasksInfinitiesAndNansAreTreatedAsInTheWholeRow) {
  for (const char* spec : {"ce", "elm:lambda=0.5,scale=4", "bs", "vs:gamma=0.2", "focal", "mm", "arcface"})
    for (const std::int64_t classes : {6, 50}) {
      Problem<float> p(spec, 9, classes, Reduction::none);
      for (std::int64_t i = 0; i < p.rows; ++i) p.labels[static_cast<std::size_t>(i)] = i % classes;
      p.sample_weights.assign(p.labels.size(), 1);
      const auto inf = static_cast<float>(k_inf), nan = static_cast<float>(k_nan);
      p.logit(0, classes - 1) = -inf;                                       // a masked class
      for (std::int64_t j = 0; j < classes / 2; ++j) p.logit(1, j) = -inf;  // a masked shard, and the label
      for (std::int64_t j = 0; j < classes; ++j)                            // all incorrect classes are masked
        if (j != 2) p.logit(2, j) = -inf;
      p.logit(3, 3) = inf;
      p.logit(4, 0) = nan;
      p.logit(5, 5) = nan;
      p.logit(6, classes - 2) = inf;
      p.logit(7, 1) = p.logit(7, classes - 1) = inf;
      if (std::string(spec) == "arcface")
        for (const std::int64_t row : {1, 3}) p.logit(row, row) = 0.5F;  // -infinity is not a cosine
      const Result<float> whole = evaluate_whole(p);
      for (const auto& cuts : cuts_of(classes)) {
        SCOPED_TRACE(fmt::format("{} cut at {}", spec, fmt::join(cuts, ", ")));
        const Result<float> shards = evaluate_shards(p, cuts);
        for (std::int64_t i = 0; i < p.rows; ++i) {
          const auto row = [&](const Result<float>& of) {
            return std::vector<float>(of.gradient.begin() + i * classes, of.gradient.begin() + (i + 1) * classes);
          };
          const auto at = static_cast<std::size_t>(i);
          EXPECT_LE(distance(std::vector<double>{shards.losses[at]}, std::vector<double>{whole.losses[at]}), 1e-6)
              << "row " << i << ": " << shards.losses[at] << " against " << whole.losses[at];
          EXPECT_LE(distance(row(shards), row(whole)), 1e-6) << "row " << i;
        }
      }
    }
}

TEST(Shards, LossesThatReadWholeRowsAreRefusedByName) {
  for (const char* spec : {"seesaw", "lade", "ce:smoothing=0.1", "elm:placement=rival", "gcl"}) {
    const Problem<float> p(spec, 3, 6, Reduction::mean);
    EXPECT_FALSE(p.loss.is_shardable());
    try {
      p.loss.row_statistics(p.view(), p.batch());
      FAIL() << spec;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string_view(error.what()).find(p.loss.spec().text()), std::string_view::npos) << error.what();
    }
  }
  for (const LossDefinition& definition : family()) {
    const Loss loss(LossSpec::parse(definition.name), ClassCounts({4, 2}));
    EXPECT_TRUE(loss.is_shardable() || !definition.shardable) << definition.name;
  }
}

TEST(Shards, ClassesThatAreNotThereAndStatisticsOfNoRowAreRefused) {
  const Problem<float> p("ce", 4, 6, Reduction::mean);
  LossBatch batch = p.batch();
  for (const std::int64_t offset : {std::int64_t{-1}, std::int64_t{1}, std::numeric_limits<std::int64_t>::max()}) {
    batch.class_offset = offset;
    EXPECT_THROW(p.loss.row_statistics(p.view(), batch), Error) << offset;
    EXPECT_THROW(p.loss.evaluate(p.view(), batch), Error) << offset;
  }
  batch.class_offset = 0;
  std::vector<RowStatistics> statistics = p.loss.row_statistics(p.view(), batch);
  EXPECT_NO_THROW(p.loss.evaluate_shard(p.view(), batch, statistics));
  statistics[0].rival_class = 6;
  EXPECT_THROW(p.loss.evaluate_shard(p.view(), batch, statistics), Error);
  statistics[0] = {};
  EXPECT_THROW(p.loss.evaluate_shard(p.view(), batch, statistics), Error);
  statistics.pop_back();
  EXPECT_THROW(p.loss.evaluate_shard(p.view(), batch, statistics), Error);
}

RowStatistics any_statistics(Stream& stream, std::int64_t first_class) {
  const double infinities[] = {k_inf, -k_inf};
  const double maximum = stream.below(5) == 0 ? infinities[stream.below(2)] : std::round(4 * stream.normal());
  return {.maximum = maximum,
          .sum = 1 + 5 * stream.uniform(),
          .true_value = stream.below(3) == 0 ? stream.normal() : -k_inf,
          .rival_value = maximum / 2,
          .rival_class = first_class + static_cast<std::int64_t>(stream.below(10))};
}

void expect_equal(const RowStatistics& a, const RowStatistics& b) {
  EXPECT_EQ(a.maximum, b.maximum);
  EXPECT_EQ(a.true_value, b.true_value);
  EXPECT_EQ(a.rival_value, b.rival_value);
  EXPECT_EQ(a.rival_class, b.rival_class);
  EXPECT_NEAR(a.sum, b.sum, 1e-15 * b.sum);
}

TEST(RowStatistics, MergeInAnyOrderWithTheNeutralElementAndItsTies) {
  Stream stream(1, "merge");
  for (int round = 0; round < 2000; ++round) {
    const RowStatistics a = any_statistics(stream, 0), b = any_statistics(stream, 10), c = any_statistics(stream, 20);
    expect_equal(merge(a, b), merge(b, a));
    expect_equal(merge(merge(a, b), c), merge(a, merge(b, c)));
    expect_equal(merge(a, RowStatistics()), a);
    expect_equal(merge(RowStatistics(), a), a);
    if (a.maximum == b.maximum) {
      EXPECT_EQ(merge(a, b).rival_class, a.rival_class);
      EXPECT_DOUBLE_EQ(merge(a, b).sum, a.sum + b.sum);
    }
  }
  const RowStatistics nan{.maximum = 1, .sum = k_nan, .true_value = k_nan, .rival_value = 1, .rival_class = 3};
  for (const RowStatistics& merged : {merge(nan, RowStatistics()), merge(any_statistics(stream, 7), nan)}) {
    EXPECT_TRUE(std::isnan(merged.sum));
    EXPECT_TRUE(std::isnan(merged.true_value));
  }
}

/// The rows `which` of a problem.
template <class T>
Problem<T> rows_of(const Problem<T>& p, const std::vector<std::int64_t>& which) {
  Problem<T> part = p;
  part.rows = static_cast<std::int64_t>(which.size());
  const auto pick = [&](auto& target, const auto& source, std::int64_t columns) {
    target.clear();
    for (const std::int64_t i : which)
      target.insert(target.end(), source.begin() + i * columns, source.begin() + (i + 1) * columns);
  };
  pick(part.labels, p.labels, 1);
  pick(part.sample_weights, p.sample_weights, 1);
  pick(part.features, p.features, p.width);
  pick(part.logits, p.logits, p.classes);
  return part;
}

/// Evaluates the chunks with the normaliser and the positions of the whole batch.
template <class T>
void compare_chunks(const Problem<T>& p, const std::vector<std::vector<std::int64_t>>& chunks) {
  const Result<T> whole = evaluate_whole(p);
  Result<T> sum(p);
  for (const std::vector<std::int64_t>& which : chunks) {
    const Problem<T> chunk = rows_of(p, which);
    Result<T> part(chunk);
    LossBatch batch = chunk.batch();
    batch.normaliser = p.loss.normaliser(p.batch());
    batch.positions = which;
    batch.losses = part.losses;
    batch.features.gradient = {part.feature_gradient.data(), chunk.rows, chunk.width};
    sum.value += p.loss.evaluate(chunk.view(), batch, MatrixView<T>(part.gradient.data(), chunk.rows, p.classes));
    for (std::size_t k = 0; k < which.size(); ++k) {
      const std::int64_t from = static_cast<std::int64_t>(k), to = which[k];
      sum.losses[static_cast<std::size_t>(to)] = part.losses[k];
      std::copy_n(part.gradient.begin() + from * p.classes, p.classes, sum.gradient.begin() + to * p.classes);
      std::copy_n(part.feature_gradient.begin() + from * p.width, p.width, sum.feature_gradient.begin() + to * p.width);
    }
  }
  EXPECT_NEAR(sum.value, whole.value, 1e-12 * std::fabs(whole.value));
  // A row does not depend on the other rows, not even in one bit.
  EXPECT_EQ(std::memcmp(sum.gradient.data(), whole.gradient.data(), whole.gradient.size() * sizeof(T)), 0);
  EXPECT_EQ(sum.losses, whole.losses);
  EXPECT_EQ(sum.feature_gradient, whole.feature_gradient);
}

TEST(Chunks, WithTheNormaliserOfTheBatchSumToTheBatch) {
  for (const std::string& spec : specs()) {
    if (!LossSpec::parse(spec).definition().chunkable) continue;
    for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none})
      for (const std::int64_t size : {1, 7, 256}) {
        SCOPED_TRACE(fmt::format("{} {} chunks of {}", spec, name_of(reduction), size));
        const Problem<float> p(spec, 300, 13, reduction);
        std::vector<std::vector<std::int64_t>> chunks;
        for (std::int64_t begin = 0; begin < p.rows; begin += size) {
          chunks.emplace_back(static_cast<std::size_t>(std::min(size, p.rows - begin)));
          std::iota(chunks.back().begin(), chunks.back().end(), begin);
        }
        compare_chunks(p, chunks);
      }
  }
}

TEST(Chunks, DrawsDependOnThePositionOfARowNotOnWhoHasIt) {
  for (const char* spec : {"gcl", "eql:lambda=0.5"}) {
    SCOPED_TRACE(spec);
    const Problem<double> p(spec, 41, 13, Reduction::weighted_mean);
    std::vector<std::vector<std::int64_t>> processes(3);
    for (std::int64_t i = 0; i < p.rows; ++i) processes[static_cast<std::size_t>(i % 3)].push_back(i);
    compare_chunks(p, processes);
    // The step of the draws advances once per batch, whichever process has its first row.
    double steps = 0;
    for (const auto& which : processes) {
      const Problem<double> part = rows_of(p, which);
      LossBatch batch = part.batch();
      batch.positions = which;
      steps += p.loss.collect_update(part.view(), batch).at(0);
    }
    EXPECT_EQ(steps, 1);
  }
}

TEST(Chunks, NormalisersOfPartsAddUp) {
  for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean}) {
    const Problem<float> p("poly1+cb", 30, 5, reduction);
    const Normaliser whole = p.loss.normaliser(p.batch());
    Normaliser sum{0, 0};
    for (std::int64_t i = 0; i < p.rows; ++i) {
      const Normaliser part = p.loss.normaliser(rows_of(p, {i}).batch());
      sum.divisor += part.divisor;
      sum.samples += part.samples;
    }
    EXPECT_NEAR(sum.divisor, whole.divisor, 1e-12 * whole.divisor);
    EXPECT_NEAR(sum.samples, whole.samples, 1e-12 * whole.samples);
  }
}

TEST(Chunks, RefuseWhatIsNoNormaliserNoPositionAndALossOfTheWholeBatch) {
  const Problem<float> p("ce", 4, 6, Reduction::mean);
  LossBatch batch = p.batch();
  for (const double value : {-1.0, k_nan, k_inf}) {
    batch.normaliser = Normaliser{value, 1};
    EXPECT_THROW(p.loss.evaluate(p.view(), batch), Error);
    batch.normaliser = Normaliser{1, value};
    EXPECT_THROW(p.loss.evaluate(p.view(), batch), Error);
  }
  batch.normaliser = {};
  const std::vector<std::int64_t> negative = {0, 1, -2, 3}, few = {0, 1};
  for (const auto* positions : {&negative, &few}) {
    batch.positions = *positions;
    EXPECT_THROW(p.loss.evaluate(p.view(), batch), Error);
  }
  for (const LossDefinition& definition : family()) {
    if (definition.chunkable) continue;
    const std::string from = KeyValues(definition.keys).has("from") ? ":from=0" : "";
    const Problem<float> whole(std::string(definition.name) + from, 4, 6, Reduction::mean);
    LossBatch part = whole.batch();
    part.normaliser = Normaliser{8, 8};
    EXPECT_THROW(whole.loss.evaluate(whole.view(), part), Error) << definition.name;
  }
}

/// argmax as defined by torch.
template <class T>
std::int64_t argmax(const T* row, std::int64_t classes) {
  std::int64_t best = 0;
  for (std::int64_t j = 1; j < classes; ++j) {
    const auto z = static_cast<float>(row[j]), top = static_cast<float>(row[best]);
    if (!std::isnan(top) && (std::isnan(z) || z > top)) best = j;
  }
  return best;
}

template <class T>
void compare_correct() {
  for (const std::string& spec : specs())
    for (const std::int64_t classes : {1, 2, 9, 40, 1100}) {
      SCOPED_TRACE(fmt::format("{} {}", spec, classes));
      Problem<T> p(spec, classes > 1000 ? 12 : 60, classes, Reduction::weighted_mean);
      Stream stream(5, "correct");
      for (std::int64_t i = 0; i < p.rows; ++i) {
        const auto j = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(classes)));
        const std::int64_t label = std::max<std::int64_t>(p.labels[static_cast<std::size_t>(i)], 0);
        if (i % 2 == 0) p.logit(i, label) = static_cast<T>(0.97F);  // correct, or nearly so
        if (i % 6 == 1) p.logit(i, j) = p.logit(i, label);          // a tie
        if (i % 6 == 2) p.logit(i, j) = static_cast<T>(0.97F);
        if (i % 12 == 3) p.logit(i, j) = static_cast<T>(-static_cast<float>(k_inf));
        if (i % 12 == 5) p.logit(i, j) = static_cast<T>(static_cast<float>(k_nan));
        if (i % 12 == 8) p.logit(i, label) = static_cast<T>(static_cast<float>(k_nan));
        if (i % 12 == 9) p.logit(i, j) = static_cast<T>(static_cast<float>(k_inf));
        if (i % 12 == 11) p.logit(i, label) = static_cast<T>(static_cast<float>(k_inf));
      }
      std::vector<std::uint8_t> expected, correct(p.labels.size(), 7), in_place(p.labels.size(), 7);
      for (std::int64_t i = 0; i < p.rows; ++i)
        expected.push_back(argmax(p.logits.data() + i * classes, classes) == p.labels[static_cast<std::size_t>(i)]);
      LossBatch batch = p.batch();
      batch.correct = correct;
      std::vector<T> gradient(p.logits.size());
      const double value = p.loss.evaluate(p.view(), batch, MatrixView<T>(gradient.data(), p.rows, classes));
      EXPECT_EQ(correct, expected);
      std::vector<T> both = p.logits;
      batch.correct = in_place;
      p.loss.evaluate(MatrixView<const T>(both.data(), p.rows, classes), batch,
                      MatrixView<T>(both.data(), p.rows, classes));
      EXPECT_EQ(in_place, expected);
      EXPECT_EQ(std::memcmp(both.data(), gradient.data(), both.size() * sizeof(T)), 0);
      const double without = p.loss.evaluate(p.view(), p.batch());
      EXPECT_TRUE(value == without || (std::isnan(value) && std::isnan(without)));
    }
}

TEST(Correct, RowsAreThoseWhoseArgmaxIsTheLabel) {
  compare_correct<float>();
  compare_correct<double>();
  compare_correct<BFloat16>();
}

}  // namespace
}  // namespace ulmus
