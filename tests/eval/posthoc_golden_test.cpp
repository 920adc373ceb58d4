#include <algorithm>

#include "golden.hpp"
#include "ulmus/eval/posthoc.hpp"

namespace ulmus {
namespace {

/// Where the published vectors are missing: two cases of them.
const char* const k_small_copy = R"({"cases": [
  {"id": "additive", "kind": "additive", "counts": [5000, 50], "params": {"tau": 0.25},
   "logits": [[-0.6507521960312981, 0.11194597575204868]],
   "adjusted_logits": [[-0.6482646133180061, 1.2657261049623636]], "argmax": [1]},
  {"id": "multiplicative", "kind": "multiplicative", "counts": [900, 100], "params": {"tau": 0.5},
   "logits": [[0.5, -0.25]], "adjusted_logits": [[0.52704627669472988, -0.79056941504209483]], "argmax": [0]}]})";

TEST(PostHocGolden, AddsAndMultipliesAsPublished) {
  const auto file = golden::read("posthoc.json").value_or(nlohmann::json::parse(k_small_copy));
  std::size_t rows = 0;
  for (const auto& entry : file.at("cases")) {
    SCOPED_TRACE(entry.at("id").get<std::string>());
    PostHoc posthoc = PostHoc::parse(entry.at("kind") == "additive" ? "la" : "mla");
    posthoc.tau = entry.at("params").at("tau");
    Scores scores;
    posthoc.apply(scores, ClassCounts(entry.at("counts").get<std::vector<std::int64_t>>()));
    for (std::size_t i = 0; i < entry.at("logits").size(); ++i, ++rows) {
      const auto exact = entry.at("logits")[i].get<std::vector<double>>();
      const auto expected = entry.at("adjusted_logits")[i].get<std::vector<double>>();
      const std::vector<float> z(exact.begin(), exact.end());
      std::vector<double> u(z.size());
      scores.apply(z, u);
      for (std::size_t j = 0; j < u.size(); ++j) {
        // The head gives floats: what the logit lost is taken off the expected score.
        const double lost = (scores.slope.empty() ? 1 : scores.slope[j]) * (static_cast<double>(z[j]) - exact[j]);
        EXPECT_TRUE(golden::near(u[j], expected[j] + lost)) << j;
      }
      EXPECT_EQ(std::ranges::max_element(u) - u.begin(), entry.at("argmax")[i].get<std::int64_t>());
    }
  }
  EXPECT_GT(rows, 1u);
}

}  // namespace
}  // namespace ulmus
