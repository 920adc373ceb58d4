#include <gtest/gtest.h>

#include <cmath>

#include "golden.hpp"
#include "ulmus/data/imbalance.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

/// A file like the published one, made by a straightforward reading of its convention.
json small_copy() {
  json cases = json::array();
  for (const auto& [classes, images] : {std::pair{10, 50000}, {100, 50000}, {200, 100000}, {10, 60000}})
    for (const char* type : {"exp", "step", "none"})
      for (const double factor : {1.0, 0.5, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002}) {
        json counts = json::array();
        const double n_max = static_cast<double>(images) / classes;
        for (int c = 0; c < classes; ++c) {
          double n = n_max;
          if (type[0] == 'e') n *= std::pow(factor, c / (classes - 1.0));
          if (type[0] == 's' && c >= classes / 2) n *= factor;
          counts.push_back(static_cast<int>(n));
        }
        cases.push_back({{"id", "own"},
                         {"C", classes},
                         {"images_before", images},
                         {"imb_type", type},
                         {"imb_factor", factor},
                         {"counts", counts}});
      }
  return {{"cases", cases}};
}

TEST(ImbalanceGolden, CountsAreTheReferenceProtocols) {
  const json file = golden::read("imbalance_counts.json").value_or(small_copy());
  ASSERT_FALSE(file.at("cases").empty());
  for (const json& test : file.at("cases")) {
    const auto classes = test.at("C").get<std::int64_t>();
    const auto images = test.at("images_before").get<std::int64_t>();
    const std::string type = test.at("imb_type");
    const ImbalanceProfile profile{.kind = type == "exp"    ? ImbalanceProfile::Kind::exponential
                                           : type == "step" ? ImbalanceProfile::Kind::step
                                                            : ImbalanceProfile::Kind::none,
                                   .factor = test.at("imb_factor")};
    const std::vector<std::int64_t> available(static_cast<std::size_t>(classes), images / classes);
    EXPECT_EQ(imbalance_counts(profile, available), test.at("counts").get<std::vector<std::int64_t>>())
        << test.at("id") << ' ' << type << ' ' << profile.factor;
  }
}

TEST(ImbalanceGolden, TheTextOfARatioGivesTheSameFactor) {
  for (const auto& [text, factor] : {std::pair{"exp:10", 0.1},
                                     {"exp:20", 0.05},
                                     {"exp:50", 0.02},
                                     {"exp:100", 0.01},
                                     {"exp:200", 0.005},
                                     {"exp:500", 0.002}})
    EXPECT_EQ(ImbalanceProfile::parse(text).factor, factor) << text;
}

}  // namespace
}  // namespace ulmus
