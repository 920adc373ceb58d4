#include "ulmus/data/inspection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/image_files.hpp"
#include "data/support.hpp"
#include "has.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/data/split.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using Counts = std::vector<std::int64_t>;
using Names = std::vector<std::string>;
using test::described;
using test::encode_image;
using test::expect_error;
using test::grey;
using test::synthetic;
using test::with_features;
using test::with_images;

std::ptrdiff_t lines_of(const std::string& text) { return std::ranges::count(text, '\n'); }

/// Images of one pixel, with the given values and labels.
Dataset one_pixel_images(const std::vector<std::uint8_t>& values, const Counts& labels, std::int64_t classes) {
  const Dataset none = synthetic(Counts(static_cast<std::size_t>(classes), 0), {1, 1, 1});
  return with_images(described(none, [&](DatasetInfo& info) { info.labels = labels; }),
                     [values](std::int64_t index, std::span<std::uint8_t> pixels) {
                       pixels[0] = values[static_cast<std::size_t>(index)];
                     });
}

OpenedData with_test(Dataset train, Dataset test) {
  OpenedData data;
  data.train = std::move(train);
  data.test = std::move(test);
  return data;
}

OpenedData without_test(const Counts& counts) {
  OpenedData data;
  data.train = synthetic(counts);
  return data;
}

Inspection quick(const OpenedData& data, const std::string& imbalance = "none") {
  return inspect(data, {.imbalance = imbalance, .quick = true});
}

// ---- counts

TEST(Inspection, GiniIsTheMeanDifferenceOfTwoClassesOverTwiceTheMean) {
  // By definition: sum over all pairs of |a - b| is 2 (6 + 9 + 3) = 36; 36 / (2 * 9 * 5) = 0.4.
  EXPECT_DOUBLE_EQ(quick(without_test({1, 10, 4})).gini, 0.4);
  EXPECT_DOUBLE_EQ(quick(without_test({7, 7, 7})).gini, 0);
}

TEST(Inspection, CountsShotGroupsAndRatio) {
  const Inspection found = quick(without_test({101, 100, 20, 19}));
  EXPECT_EQ(found.many_shot, 1);
  EXPECT_EQ(found.medium_shot, 2);
  EXPECT_EQ(found.few_shot, 1);
  EXPECT_DOUBLE_EQ(found.imbalance_ratio, 101.0 / 19);
}

TEST(Inspection, ImbalanceShowsTheCountsOfTheSplitThatARunMakes) {
  const OpenedData data = without_test({100, 90, 80});
  const Split split = make_split(data, {.imbalance = "exp:10"});
  const Inspection found = quick(data, "exp:10");
  EXPECT_EQ(found.train_counts, split.train_counts);
  EXPECT_EQ(found.test_counts, (Counts{20, 18, 16}));
  EXPECT_TRUE(found.held_out);
  EXPECT_EQ(std::ssize(split.test), 20 + 18 + 16);
  EXPECT_TRUE(has(to_text(found), "54 to test held out of them")) << to_text(found);
}

TEST(Inspection, WithoutImbalanceShowsTheDataAsTheyAre) {
  const Inspection found = quick(without_test({100, 90}));
  EXPECT_EQ(found.train_counts, (Counts{100, 90}));
  EXPECT_FALSE(found.test_counts);
  EXPECT_FALSE(found.held_out);
  EXPECT_TRUE(has(to_text(found), "a part of these to test"));
}

TEST(Inspection, ATestPartIsCountedAndNothingHeldOut) {
  const Inspection found = quick(with_test(synthetic({100, 100}), synthetic({3, 0})), "exp:100");
  EXPECT_EQ(found.train_counts, (Counts{100, 1}));
  EXPECT_EQ(found.test_counts, (Counts{3, 0}));
  EXPECT_FALSE(found.held_out);
  EXPECT_EQ(found.missing_in_test, (Counts{1}));
  EXPECT_EQ(found.single, (Counts{1}));
  EXPECT_TRUE(has(to_text(found), "1 class has no test sample: 'class 1'")) << to_text(found);
  EXPECT_TRUE(has(to_text(found), "1 class has one training sample: 'class 1'")) << to_text(found);
}

TEST(Inspection, AnEmptyClassIsSaid) {
  const Inspection found = quick(with_test(synthetic({10, 10}), synthetic({1, 1})), "step:100");
  EXPECT_EQ(found.empty, (Counts{1}));
  EXPECT_TRUE(has(to_text(found), "no run can be made of it")) << to_text(found);
}

TEST(Inspection, RefusesAnUnknownImbalance) {
  expect_error(ErrorKind::usage, {"'ekp:10'", "exp"}, [] { quick(without_test({5, 5}), "ekp:10"); });
}

// ---- duplicates

TEST(Inspection, FindsCopiesInAPartAndBetweenParts) {
  const Inspection found = inspect(with_test(one_pixel_images({7, 8, 7, 7, 9}, {0, 1, 0, 1, 1}, 2),
                                             one_pixel_images({1, 1, 8, 9, 7}, {0, 0, 1, 0, 0}, 2)),
                                   {});
  EXPECT_EQ(found.in_train->copies, 2);  // the first 7 is not a copy
  EXPECT_EQ(found.in_train->contradicting, 1);
  EXPECT_EQ(found.in_train->pair, (Names{"training sample 2", "training sample 0"}));
  EXPECT_EQ(found.in_test->copies, 1);
  EXPECT_EQ(found.in_test->contradicting, 0);
  EXPECT_EQ(found.leak->copies, 3);
  EXPECT_EQ(found.leak->contradicting, 1);  // 9
  EXPECT_EQ(found.leak->pair, (Names{"test sample 2", "training sample 1"}));
  const std::string text = to_text(found);
  EXPECT_TRUE(has(text,
                  "duplicates: 2 training samples are copies of an earlier one, 1 with another label; first "
                  "training sample 2 and training sample 0"))
      << text;
  EXPECT_TRUE(has(text, "leak: 3 test samples are in the training part, too, 1 with another label")) << text;
}

TEST(Inspection, SaysThatNothingComesTwice) {
  const Inspection found = inspect(without_test({3, 3}), {});
  EXPECT_EQ(found.in_train->copies, 0);
  EXPECT_TRUE(found.in_train->pair.empty());
  EXPECT_FALSE(found.in_test);
  EXPECT_FALSE(found.leak);
  EXPECT_TRUE(has(to_text(found), "no sample comes twice")) << to_text(found);
}

TEST(Inspection, QuickReadsNoSample) {
  OpenedData data = without_test({3, 3});
  data.train = with_images(data.train, [](std::int64_t, std::span<std::uint8_t>) { FAIL(); });
  EXPECT_FALSE(quick(data).in_train);
  EXPECT_FALSE(has(to_text(quick(data)), "twice"));
}

TEST(Inspection, TheSameForAnyNumberOfThreads) {
  std::vector<std::uint8_t> values(1000);
  Counts labels(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::uint8_t>(i * i % 251);
    labels[i] = static_cast<std::int64_t>(i % 3);
  }
  OpenedData data;
  data.train = one_pixel_images(values, labels, 3);
  const std::string alone = to_json(inspect(data, {.threads = 1}));
  EXPECT_EQ(to_json(inspect(data, {.threads = 7})), alone);
}

TEST(Inspection, TheFirstSampleThatFailsIsReported) {
  OpenedData data = without_test({50, 50});
  data.train = with_images(data.train, [](std::int64_t index, std::span<std::uint8_t>) {
    if (index >= 10) throw Error(ErrorKind::data, "sample " + std::to_string(index) + " is gone");
  });
  expect_error(ErrorKind::data, {"sample 10 is gone"}, [&] { inspect(data, {.threads = 4}); });
}

TEST(Inspection, MinusZeroIsZeroInFeatures) {
  OpenedData data;
  data.train = with_features(synthetic({2, 1}, {1, 1, 1}), [](std::int64_t index, std::span<float> values) {
    values[0] = index == 0 ? 0.0F : index == 1 ? -0.0F : 1.0F;
  });
  EXPECT_EQ(inspect(data, {}).in_train->copies, 1);
}

class InspectedFiles : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void put(const std::string& name, const std::string& bytes) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    write_file(path(name), bytes);
  }
  TemporaryFolder folder_;
};

TEST_F(InspectedFiles, RowsOfATableAreComparedByWhatTheirCellsMean) {
  put("train.csv", "a,b,label\n1,x,p\n1.0,x,q\nNA,y,p\n?,y,p\n2,\"x\",p\n");
  put("test.csv", "label,b,a\np,x,2e0\nq,z,1\n");  // another column order
  const Inspection found =
      inspect("csv:" + path("train.csv") + "?label=label&test=" + path("test.csv"), OpenOptions{}, {});
  EXPECT_EQ(found.samples, "rows of 2 columns");
  EXPECT_EQ(found.in_train->copies, 2);
  EXPECT_EQ(found.in_train->contradicting, 1);
  EXPECT_EQ(found.in_train->pair, (Names{"'" + path("train.csv") + "' line 3", "'" + path("train.csv") + "' line 2"}));
  EXPECT_EQ(found.leak->copies, 1);
  EXPECT_EQ(found.leak->pair, (Names{"'" + path("test.csv") + "' line 2", "'" + path("train.csv") + "' line 6"}));
}

TEST_F(InspectedFiles, ImagesThatCannotBeDecodedAreCountedAndNamed) {
  for (int i = 0; i < 8; ++i) {
    put("train/cat/" + std::to_string(i) + ".png", i < 7 ? "no image" : encode_image(".png", grey(2, 2, 50)));
    put("train/dog/" + std::to_string(i) + ".png", encode_image(".png", grey(2, 2, 100 + i)));
  }
  put("test/cat/0.png", encode_image(".png", grey(2, 2, 103)));
  const Inspection found = inspect("folder:" + path(""), OpenOptions{}, {});
  EXPECT_EQ(found.train_counts, (Counts{1, 8}));
  EXPECT_EQ(found.skipped.counts(), (std::map<std::string, std::int64_t>{{"not an image", 7}}));
  ASSERT_EQ(found.skipped_files.size(), k_named_skipped);
  EXPECT_TRUE(found.skipped_files[1].ends_with("train/cat/1.png")) << found.skipped_files[1];
  EXPECT_TRUE(has(to_text(found), "7 images that cannot be used are skipped (not an image 7): '")) << to_text(found);
  EXPECT_TRUE(has(to_json(found), "\"skipped_by_reason\": {\n    \"not an image\": 7")) << to_json(found);
  EXPECT_EQ(found.leak->copies, 1);
  EXPECT_EQ(found.leak->contradicting, 1);
  EXPECT_TRUE(has(found.leak->pair.at(0), "test/cat/0.png")) << found.leak->pair[0];
  EXPECT_TRUE(has(found.leak->pair.at(1), "train/dog/3.png")) << found.leak->pair[1];
}

TEST_F(InspectedFiles, AListKeepsTheSha256OfItsRunUnlessAnImageIsBad) {
  put("a.png", encode_image(".png", grey(4, 4, 1)));
  put("b.png", encode_image(".png", grey(6, 6, 2)));
  put("c.png", encode_image(".png", grey(5, 5, 2)));
  put("list.txt", "a.png 0\nb.png 1\nc.png 1\n");
  const std::string address = "list:" + path("list.txt");
  const Inspection sound = inspect(address, {.image_size = 4}, {});
  EXPECT_EQ(sound.sha256, open_data(address, {.image_size = 4}).train.sha256());
  EXPECT_TRUE(sound.skipped.empty());
  EXPECT_EQ(sound.in_train->copies, 1);
  put("c.png", "no image");
  const Inspection bad = inspect(address, {.image_size = 4}, {});
  EXPECT_EQ(bad.sha256, open_data(address, {.skip_bad = true, .image_size = 4}).train.sha256());
  EXPECT_EQ(bad.skipped_files, (Names{path("c.png")}));
  EXPECT_EQ(bad.train_counts, (Counts{1, 1}));
}

TEST_F(InspectedFiles, MissingDataAreAnError) {
  expect_error(ErrorKind::data, {"is not a folder"}, [&] { inspect("folder:" + path("none"), OpenOptions{}, {}); });
  expect_error(ErrorKind::data, {"missing.csv"},
               [&] { inspect("csv:" + path("missing.csv") + "?label=y", OpenOptions{}, {}); });
}

// ---- text output

TEST(InspectionText, ShowsUpToTwentyClassesInLabelOrder) {
  Counts counts(20, 5);
  counts[7] = 40;
  const std::string text = to_text(quick(without_test(counts)));
  EXPECT_LT(text.find("class 0 "), text.find("class 7 "));
  EXPECT_LT(text.find("class 7 "), text.find("class 19 "));
  EXPECT_FALSE(has(text, "left out"));
}

TEST(InspectionText, ManyClassesShowTheTenLargestAndSmallest) {
  Counts counts;
  for (std::int64_t c = 0; c < 5000; ++c) counts.push_back(1 + c % 97);
  const Inspection found = quick(without_test(counts));
  const std::string text = to_text(found);
  EXPECT_LT(lines_of(text), 40) << text;
  EXPECT_TRUE(has(text, "... 4980 classes between them left out; all shows")) << text;
  EXPECT_TRUE(has(text, "\n  class 96 "));  // the first class with 97
  EXPECT_FALSE(has(text, "\n  class 50 "));
  EXPECT_GT(lines_of(to_text(found, true)), 5000);
}

TEST(InspectionText, JsonHoldsEverything) {
  const Inspection found =
      inspect(with_test(one_pixel_images({7, 7, 9}, {0, 1, 1}, 2), one_pixel_images({9}, {1}, 2)), {});
  const auto json = nlohmann::json::parse(to_json(found));
  EXPECT_EQ(json.at("schema_version"), 1);
  EXPECT_EQ(json.at("train_counts"), (Counts{1, 2}));
  EXPECT_EQ(json.at("test_counts"), (Counts{0, 1}));
  EXPECT_EQ(json.at("shape"), (Counts{1, 1, 1}));
  EXPECT_DOUBLE_EQ(json.at("gini").get<double>(), 1.0 / 6);
  EXPECT_EQ(json.at("duplicates_in_train").at("contradicting"), 1);
  EXPECT_EQ(json.at("duplicates_in_test").at("copies"), 0);
  EXPECT_EQ(json.at("leak").at("first_pair"), (Names{"test sample 0", "training sample 2"}));
  EXPECT_EQ(json.at("one_sample_classes"), (Names{"class 0"}));
  EXPECT_EQ(json.at("classes_missing_in_test"), (Names{"class 0"}));
}

}  // namespace
}  // namespace ulmus
