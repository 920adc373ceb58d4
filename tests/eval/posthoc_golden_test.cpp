#include <algorithm>

#include "golden.hpp"
#include "ulmus/eval/posthoc.hpp"

namespace ulmus {
namespace {

TEST(PostHocGolden, AddsAndMultipliesAsPublished) {
  int compared = 0;
  for (const auto& entry : golden::cases("posthoc")) {
    SCOPED_TRACE(entry.at("id").get<std::string>());
    PostHoc posthoc = PostHoc::parse(entry.at("kind") == "additive" ? "la" : "mla");
    posthoc.tau = entry.at("params").at("tau");
    ScoreTransform scores;
    posthoc.apply(scores, ClassCounts(entry.at("counts").get<std::vector<std::int64_t>>()));
    for (std::size_t i = 0; i < entry.at("logits").size(); ++i) {
      const auto exact = entry.at("logits")[i].get<std::vector<double>>();
      const auto expected = entry.at("adjusted_logits")[i].get<std::vector<double>>();
      const std::vector<float> z(exact.begin(), exact.end());
      std::vector<double> u(z.size());
      scores.apply(z, u);
      for (std::size_t j = 0; j < u.size(); ++j) {
        // The head returns floats: subtract the rounding error of the logit from the expected score.
        const double lost = (scores.slope.empty() ? 1 : scores.slope[j]) * (static_cast<double>(z[j]) - exact[j]);
        EXPECT_TRUE(golden::near(u[j], expected[j] + lost)) << j;
      }
      EXPECT_EQ(std::ranges::max_element(u) - u.begin(), entry.at("argmax")[i].get<std::int64_t>());
    }
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(32));
}

}  // namespace
}  // namespace ulmus
