#include "ulmus/data/dataset.hpp"

#include <gtest/gtest.h>

#include <array>

#include "support.hpp"

namespace ulmus {
namespace {

using test::described;
using test::expect_error;
using test::synthetic;
using test::with_features;

TEST(Dataset, CopiesShareTheirLabels) {
  const Dataset data = synthetic({2, 1});
  const Dataset copy = data;
  EXPECT_EQ(copy.labels().data(), data.labels().data());
  EXPECT_EQ(test::pixels_of(copy, 1), test::pixels_of(data, 1));
}

TEST(Dataset, ADescriptionLeavesTheSamplesAndTheOtherCopiesAsTheyAre) {
  const Dataset data = synthetic({2, 1});
  const Dataset other = described(data, [](DatasetInfo& info) { info.labels = {1, 1, 1}; });
  EXPECT_EQ(other.counts(), (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(data.counts(), (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(test::pixels_of(other, 2), test::pixels_of(data, 2));
}

TEST(Dataset, RefusesALabelThatIsNoClass) {
  for (const std::int64_t label : {-1, 2})
    expect_error(ErrorKind::data, {"label " + std::to_string(label) + " of sample 1", "synthetic", "0 to 1"}, [&] {
      described(synthetic({2, 1}), [&](DatasetInfo& info) { info.labels[1] = label; });
    });
}

TEST(Dataset, RefusesToReadTheOtherKindOfSamples) {
  const Dataset images = synthetic({2, 1}, {1, 1, 2});
  const Dataset features = with_features(images, [](std::int64_t, std::span<float>) {});
  std::array<std::uint8_t, 2> pixels{};
  std::array<float, 2> values{};
  expect_error(ErrorKind::usage, {"no features", "read reads images"}, [&] { images.read_features(0, values); });
  expect_error(ErrorKind::usage, {"no images", "read_features"}, [&] { features.read(0, pixels); });
  expect_error(ErrorKind::usage, {"no images"}, [&] { Dataset().read(0, pixels); });
}

TEST(Dataset, SamplesNeedNoFilesLinesOrCrops) {
  const Dataset data = synthetic({2, 1}, {1, 1, 2});
  std::array<std::uint8_t, 2> pixels{};
  EXPECT_FALSE(data.file(0));
  EXPECT_FALSE(data.line(0));
  EXPECT_FALSE(data.read_crop(0, nullptr, pixels));
  EXPECT_EQ(Dataset().size(), 0);
}

}  // namespace
}  // namespace ulmus
