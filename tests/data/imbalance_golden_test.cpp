#include <gtest/gtest.h>

#include "golden.hpp"
#include "ulmus/data/imbalance.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

TEST(ImbalanceGolden, CountsAreTheReferenceProtocols) {
  int compared = 0;
  for (const json& test : golden::cases("imbalance_counts")) {
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
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(88));
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
