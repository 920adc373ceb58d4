#include "ulmus/data/split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;
using test::expect_error;
using test::synthetic;

OpenedData with_test(const Counts& counts) {
  OpenedData data;
  data.train = synthetic(counts);
  data.test = synthetic(Counts(counts.size(), 1));
  return data;
}

OpenedData without_test(const Counts& counts) {
  OpenedData data;
  data.train = synthetic(counts);
  return data;
}

Counts counts_of(const Dataset& data, const std::vector<std::int64_t>& indices) {
  Counts counts(data.class_names().size(), 0);
  for (const auto index : indices) ++counts[static_cast<std::size_t>(data.labels()[static_cast<std::size_t>(index)])];
  return counts;
}

TEST(Split, KeepsTheCountsOfTheProfile) {
  const OpenedData data = with_test(Counts(10, 500));
  const Split split = make_split(data, {.imbalance = "exp:100", .seed = 3});
  EXPECT_EQ(split.train_counts, (Counts{500, 299, 179, 107, 64, 38, 23, 13, 8, 5}));
  EXPECT_EQ(counts_of(data.train, split.train), split.train_counts);
  EXPECT_TRUE(split.validation.empty());
  EXPECT_TRUE(split.test.empty());
  EXPECT_EQ(split.data, "synthetic");
  EXPECT_EQ(split.data_sha256, "0123");
  EXPECT_EQ(split.test_sha256, "0123");
  EXPECT_EQ(split.class_names, data.train.class_names());
}

TEST(Split, PartsAreDisjointAndAscending) {
  const OpenedData data = without_test({100, 80, 60});
  const Split split =
      make_split(data, {.imbalance = "exp:4", .seed = 3, .validation_per_class = 3, .test_fraction = 0.25});
  std::set<std::int64_t> all;
  for (const auto* part : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(std::ranges::is_sorted(*part));
    all.insert(part->begin(), part->end());
  }
  EXPECT_EQ(all.size(), split.train.size() + split.validation.size() + split.test.size());
  EXPECT_EQ(counts_of(data.train, split.validation), Counts(3, 3)) << "validation is class-balanced";
  EXPECT_EQ(counts_of(data.train, split.test), (Counts{25, 20, 15}));
  EXPECT_EQ(counts_of(data.train, split.train), split.train_counts);
  EXPECT_EQ(split.train_counts, (Counts{57, 27, 12})) << "exp:4 of the 75, 60, 45 left, less 3";
}

TEST(Split, ATestPartIsNeverEmptyForAClassOfTwo) {
  const OpenedData data = without_test({2, 3, 1, 100});
  const Split split = make_split(data, {.test_fraction = 0.1});
  EXPECT_EQ(counts_of(data.train, split.test), (Counts{1, 1, 0, 10}));
  EXPECT_EQ(split.train_counts, (Counts{1, 2, 1, 90}));
}

TEST(Split, SameSeedSameIndices) {
  const OpenedData data = without_test(Counts(5, 60));
  const SplitOptions options{.imbalance = "step:10", .seed = 11, .validation_per_class = 2};
  EXPECT_EQ(to_json(make_split(data, options)), to_json(make_split(data, options)));
  SplitOptions other = options;
  other.seed = 12;
  EXPECT_NE(make_split(data, options).train, make_split(data, other).train);
  EXPECT_EQ(make_split(data, options).train_counts, make_split(data, other).train_counts);
}

TEST(Split, HoldingOutValidationLeavesTheLongTailedSetTheSame) {
  const OpenedData data = with_test(Counts(3, 100));
  const Split whole = make_split(data, {.imbalance = "exp:10", .seed = 5});
  const Split less = make_split(data, {.imbalance = "exp:10", .seed = 5, .validation_per_class = 4});
  std::vector<std::int64_t> both = less.train;
  both.insert(both.end(), less.validation.begin(), less.validation.end());
  std::ranges::sort(both);
  EXPECT_EQ(both, whole.train);
}

TEST(Split, IsFrozen) {
  // These numbers are frozen: a manifest means the same training set in every version. They were computed by an
  // independent Python program.
  const Split split =
      make_split(without_test({9, 8, 7}), {.imbalance = "exp:2", .seed = 42, .validation_per_class = 1});
  EXPECT_EQ(split.train, (std::vector<std::int64_t>{2, 3, 6, 7, 10, 12, 16, 17, 18, 23}));
  EXPECT_EQ(split.validation, (std::vector<std::int64_t>{0, 4, 20}));
  EXPECT_EQ(split.test, (std::vector<std::int64_t>{1, 9, 14, 19, 21}));
  EXPECT_EQ(split.sha256, "67c3964d218cd53ebc8ab42c85214f447d766939d4c719eff25cfce2f18666d2");
}

TEST(Split, NumpysChoiceIsThatOfItsLegacyShuffle) {
  // numpy.random.RandomState(7), shuffle of arange(6), then of arange(5): [3 5 0 2 1 4], [3 4 2 1 0].
  const OpenedData data = with_test({6, 5});
  const Split split = make_split(data, {.imbalance = "exp:2", .seed = 7, .validation_per_class = 1, .rng = "numpy"});
  std::array<Counts, 2> places;
  for (std::size_t i = 0; i < data.train.labels().size(); ++i)
    places[static_cast<std::size_t>(data.train.labels()[i])].push_back(static_cast<std::int64_t>(i));
  EXPECT_EQ(split.train_counts, (Counts{4, 1}));
  Counts expected{places[0][3], places[0][5], places[0][0], places[0][2], places[1][3]};
  std::ranges::sort(expected);
  EXPECT_EQ(split.train, expected);
  Counts held_out{places[0][1], places[1][4]};
  std::ranges::sort(held_out);
  EXPECT_EQ(split.validation, held_out);
}

TEST(Split, RefusesAnUnknownGeneratorAndASeedThatNumpyLacks) {
  const OpenedData data = with_test({6, 5});
  expect_error(ErrorKind::usage, {"rng 'numpi'", "did you mean 'numpy'?"}, [&] { make_split(data, {.rng = "numpi"}); });
  EXPECT_NO_THROW(make_split(data, {.seed = 4294967295, .rng = "numpy"}));
  expect_error(ErrorKind::usage, {"4294967296", "at most 4294967295"},
               [&] { make_split(data, {.seed = 4294967296, .rng = "numpy"}); });
}

TEST(Split, AParetoProfileOrGivenCountsHaveNoRatioToLower) {
  expect_error(ErrorKind::usage, {"class 'class 1'", "add images"}, [] {
    make_split(with_test({20, 0, 20}), {.imbalance = "pareto:6"});
  });
}

TEST(Split, NamesTheClassWithoutTrainingImageAndTheLargestRatio) {
  const OpenedData data = with_test(Counts(3, 50));
  EXPECT_NO_THROW(make_split(data, {.imbalance = "exp:50"}));
  expect_error(ErrorKind::usage,
               {"class 'class 2'", "no training image", "exp:51", "largest ratio that works is exp:50"},
               [&] { make_split(data, {.imbalance = "exp:51"}); });
  expect_error(ErrorKind::usage, {"class 'class 1'", "largest ratio that works is step:50"},
               [&] { make_split(data, {.imbalance = "step:1000000"}); });
}

TEST(Split, TheLargestRatioReallyIsTheLargest) {
  for (const Counts& counts : {Counts{30, 20, 10}, Counts{10, 40, 3}, Counts{7, 7}, Counts{90, 5, 5, 80, 2}})
    for (const std::string kind : {"exp", "step"}) {
      const OpenedData data = with_test(counts);
      std::int64_t largest = 0;
      try {
        make_split(data, {.imbalance = kind + ":1e9"});
        FAIL();
      } catch (const Error& error) {
        const std::string message = error.what();
        largest = std::stoll(message.substr(message.rfind(':') + 1));
      }
      EXPECT_NO_THROW(make_split(data, {.imbalance = kind + ":" + std::to_string(largest)}));
      EXPECT_THROW(make_split(data, {.imbalance = kind + ":" + std::to_string(largest + 1)}), Error);
    }
}

TEST(Split, NamesAClassWithoutAnyImage) {
  for (const char* imbalance : {"none", "exp:10"})
    expect_error(ErrorKind::usage, {"class 'class 1'", "no training image", "add images"}, [&] {
      make_split(with_test({20, 0, 20}), {.imbalance = imbalance});
    });
}

TEST(Split, NamesTheClassTooSmallForValidationAndTheMost) {
  const OpenedData data = with_test({40, 40});
  EXPECT_NO_THROW(make_split(data, {.imbalance = "exp:10", .validation_per_class = 3}));
  expect_error(ErrorKind::usage, {"class 'class 1'", "4 training images", "hold out 4", "3 at most"},
               [&] { make_split(data, {.imbalance = "exp:10", .validation_per_class = 4}); });
}

TEST(Split, RefusesOptionsOutOfRange) {
  expect_error(ErrorKind::usage, {"validation_per_class is -1"}, [] {
    make_split(with_test({4, 4}), {.validation_per_class = -1});
  });
  for (const double fraction : {0.0, 1.0, -0.5, std::nan("")}) {
    expect_error(ErrorKind::usage, {"test_fraction", "no test part"}, [&] {
      make_split(without_test({4, 4}), {.test_fraction = fraction});
    });
  }
  expect_error(ErrorKind::usage, {"did you mean 'step'?"}, [] {
    make_split(with_test({4, 4}), {.imbalance = "stp:2"});
  });
}

class Manifest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path() / "split.json"; }
  Split read_split_of(const std::string& text) const {
    write_file(path(), text);
    return read_split(path());
  }
  void expect_damaged(const std::string& text, std::string_view part) const {
    write_file(path(), text);
    expect_error(ErrorKind::data, {path().string(), part}, [&] { read_split(path()); });
  }

  TemporaryFolder folder_;
  Split split_ =
      make_split(without_test({60, 50, 40}),
                 {.imbalance = "exp:7.5", .seed = 0xffffffffffffffff, .validation_per_class = 2, .test_fraction = 0.3});
};

TEST_F(Manifest, ReadsBackWhatWasWritten) {
  write_file(path(), to_json(split_));
  const Split read = read_split(path());
  EXPECT_EQ(to_json(read), to_json(split_));
  EXPECT_EQ(read.options.seed, 0xffffffffffffffff);
  EXPECT_EQ(read.options.test_fraction, 0.3);
  EXPECT_EQ(read.train, split_.train);
  EXPECT_EQ(read.sha256, split_.sha256);
}

TEST_F(Manifest, RecordsAnotherGeneratorThanOurs) {
  EXPECT_EQ(to_json(split_).find("\"rng\""), std::string::npos) << "as version 0.1 wrote it";
  EXPECT_EQ(read_split_of(to_json(split_)).options.rng, "ulmus");
  const Split numpy = make_split(with_test({60, 50, 40}), {.seed = 3, .rng = "numpy"});
  nlohmann::json json = nlohmann::json::parse(to_json(numpy));
  EXPECT_EQ(json.at("rng"), "numpy");
  EXPECT_EQ(read_split_of(to_json(numpy)).options.rng, "numpy");
  EXPECT_EQ(to_json(read_split_of(to_json(numpy))), to_json(numpy));
  json["rng"] = "ulmus";
  expect_damaged(json.dump(), "damaged");
  json.erase("rng");
  expect_damaged(json.dump(), "damaged");
}

TEST_F(Manifest, HasALineAKey) {
  const std::string text = to_json(split_);
  EXPECT_EQ(std::ranges::count(text, '\n'), 16);
  EXPECT_TRUE(text.starts_with("{\n  \"schema_version\": 1,\n  \"data\": \"synthetic\",\n"));
  EXPECT_TRUE(text.ends_with("\"\n}\n"));
}

TEST_F(Manifest, NoticesEveryChange) {
  nlohmann::json sound = nlohmann::json::parse(to_json(split_));
  for (const char* key : {"train", "validation", "test", "train_counts"}) {
    nlohmann::json changed = sound;
    changed[key][0] = changed[key][0].get<std::int64_t>() + 1;
    expect_damaged(changed.dump(), "damaged");
  }
  for (const auto& [key, value] : {std::pair<const char*, nlohmann::json>{"seed", 1},
                                   {"imbalance", "exp:8"},
                                   {"data_sha256", "4567"},
                                   {"test_sha256", "4567"},
                                   {"test_fraction", 0.31},
                                   {"class_names", {"a", "b", "c"}},
                                   {"validation_per_class", 3},
                                   {"sha256", std::string(64, '0')},
                                   {"extra", 1}}) {
    nlohmann::json changed = sound;
    changed[key] = value;
    expect_damaged(changed.dump(), "damaged");
  }
}

TEST_F(Manifest, TheAddressMayChange) {
  nlohmann::json moved = nlohmann::json::parse(to_json(split_));
  moved["data"] = "folder:/elsewhere";
  write_file(path(), moved.dump(4));
  EXPECT_EQ(read_split(path()).data, "folder:/elsewhere");
}

TEST_F(Manifest, RefusesWhatIsNoManifest) {
  expect_damaged("", "not the JSON of a split");
  expect_damaged("[1, 2]", "not the JSON of a split");
  expect_damaged(to_json(split_).substr(0, 200), "not the JSON of a split");
  nlohmann::json json = nlohmann::json::parse(to_json(split_));
  json.erase("train");
  expect_damaged(json.dump(), "train");
  json["train"] = "text";
  expect_damaged(json.dump(), "damaged");
  json["train"] = {1.0, 8.88889e+64};
  expect_damaged(json.dump(), "a whole number is expected, here is 1.0");
  json["schema_version"] = 2;
  expect_damaged(json.dump(), "schema version 2, this program reads 1");
  expect_error(ErrorKind::data, {"/nonexistent/split.json"}, [] { read_split("/nonexistent/split.json"); });
}

TEST_F(Manifest, AnAddressThatIsNotUtf8CanBeWritten) {
  split_.data = "folder:caf\xe9";
  write_file(path(), to_json(split_));
  EXPECT_EQ(read_split(path()).train, split_.train);
}

}  // namespace
}  // namespace ulmus
