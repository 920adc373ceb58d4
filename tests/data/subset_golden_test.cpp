#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <numeric>

#include "golden.hpp"
#include "ulmus/data/split.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

/// Where the published file is missing: one of its cases, copied.
json small_copy() {
  return json::parse(
      R"({"cases": [{"id": "cifar10_exp_0.01_seed1", "imb_type": "exp", "imb_factor": 0.01, "seed": 1, "images_per_class_before": 5000, "classes": [
    {"kept": 5000, "first_positions": [2764, 4767, 3814, 3499, 2735], "sum_positions": 12497500, "crc32_of_sorted_uint32_le": 2868939057},
    {"kept": 2997, "first_positions": [473, 2932, 3982, 881, 3158], "sum_positions": 7468122, "crc32_of_sorted_uint32_le": 549029207},
    {"kept": 1796, "first_positions": [1633, 505, 3140, 3165, 3356], "sum_positions": 4366368, "crc32_of_sorted_uint32_le": 1097093586},
    {"kept": 1077, "first_positions": [3928, 4615, 4221, 580, 3332], "sum_positions": 2645192, "crc32_of_sorted_uint32_le": 94018068},
    {"kept": 645, "first_positions": [3109, 1717, 4149, 448, 674], "sum_positions": 1659202, "crc32_of_sorted_uint32_le": 2193222639},
    {"kept": 387, "first_positions": [1561, 1986, 3034, 1300, 1502], "sum_positions": 1042961, "crc32_of_sorted_uint32_le": 746650238},
    {"kept": 232, "first_positions": [786, 430, 1767, 401, 311], "sum_positions": 556785, "crc32_of_sorted_uint32_le": 1699857276},
    {"kept": 139, "first_positions": [1636, 4165, 3121, 4821, 1166], "sum_positions": 346793, "crc32_of_sorted_uint32_le": 1385403637},
    {"kept": 83, "first_positions": [337, 1010, 3967, 3444, 512], "sum_positions": 197569, "crc32_of_sorted_uint32_le": 3858859626},
    {"kept": 50, "first_positions": [4449, 3289, 4177, 801, 3825], "sum_positions": 115840, "crc32_of_sorted_uint32_le": 3807815924}]}]})");
}

/// Every class has as many images, one class after another in each round, so image i is number i / classes of its
/// class.
OpenedData balanced(std::int64_t classes, std::int64_t images_per_class) {
  OpenedData data;
  data.train.name = "balanced";
  data.train.shape = {1, 1, 1};
  data.train.class_names.resize(static_cast<std::size_t>(classes));
  for (std::int64_t i = 0; i < classes * images_per_class; ++i) data.train.labels.push_back(i % classes);
  data.test = data.train;
  return data;
}

std::uint32_t crc32_of(const std::vector<std::uint32_t>& positions) {
  std::vector<unsigned char> bytes;
  for (const std::uint32_t position : positions)
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<unsigned char>(position >> shift));
  return static_cast<std::uint32_t>(::crc32(0, bytes.data(), static_cast<unsigned>(bytes.size())));
}

TEST(SubsetGolden, NumpysGeneratorKeepsTheImagesOfTheReference) {
  const json file = golden::read("subset_selection.json").value_or(small_copy());
  ASSERT_FALSE(file.at("cases").empty());
  for (const json& test : file.at("cases")) {
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
  }
}

}  // namespace
}  // namespace ulmus
