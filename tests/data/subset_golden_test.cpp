#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <numeric>

#include "golden.hpp"
#include "ulmus/data/split.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

/// Every class has the same number of images, and classes alternate, so image i is number i / classes of its class.
OpenedData balanced(std::int64_t classes, std::int64_t images_per_class) {
  DatasetInfo info{.name = "balanced", .class_names{}, .shape = {1, 1, 1}};
  info.class_names.resize(static_cast<std::size_t>(classes));
  for (std::int64_t i = 0; i < classes * images_per_class; ++i) info.labels.push_back(i % classes);
  const Dataset data = Dataset().with_info(std::move(info));
  return {.train = data, .test = data};
}

std::uint32_t crc32_of(const std::vector<std::uint32_t>& positions) {
  std::vector<unsigned char> bytes;
  for (const std::uint32_t position : positions)
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<unsigned char>(position >> shift));
  return static_cast<std::uint32_t>(::crc32(0, bytes.data(), static_cast<unsigned>(bytes.size())));
}

TEST(SubsetGolden, NumpysGeneratorKeepsTheImagesOfTheReference) {
  int compared = 0;
  for (const json& test : golden::cases("subset_selection")) {
    const json& expected = test.at("classes");
    const std::int64_t classes = std::ssize(expected);
    const std::string profile = test.at("imb_type").get<std::string>() + ":" +
                                std::to_string(std::llround(1 / test.at("imb_factor").get<double>()));
    const Split split = make_split(balanced(classes, test.at("images_per_class_before")),
                                   {.imbalance = profile, .seed = test.at("seed"), .rng = "numpy"});
    std::vector<std::vector<std::uint32_t>> positions(static_cast<std::size_t>(classes));
    for (const std::int64_t index : split.train)
      positions[static_cast<std::size_t>(index % classes)].push_back(static_cast<std::uint32_t>(index / classes));
    for (std::size_t c = 0; c < positions.size(); ++c) {
      const std::string name = test.at("id").get<std::string>() + " class " + std::to_string(c);
      const auto& kept = positions[c];
      EXPECT_EQ(kept.size(), expected[c].at("kept").get<std::size_t>()) << name;
      EXPECT_EQ(std::accumulate(kept.begin(), kept.end(), std::int64_t{0}), expected[c].at("sum_positions")) << name;
      EXPECT_EQ(crc32_of(kept), expected[c].at("crc32_of_sorted_uint32_le")) << name;
      for (const std::uint32_t position : expected[c].at("first_positions"))
        EXPECT_TRUE(std::ranges::binary_search(kept, position)) << name << ' ' << position;
    }
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(16));
}

}  // namespace
}  // namespace ulmus
