#include "ulmus/report/tuning.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "has.hpp"
#include "report/synthetic_run.hpp"

namespace ulmus {
namespace {

/// A trained head and a grid of three values, the second the best.
Tuning synthetic_tuning(std::vector<std::int64_t> counts = {600, 150, 60, 10}) {
  Tuning tuning{.loss = "ldam+drw", .seed = 3, .data = "fashion-mnist", .validation_per_class = 20};
  for (const double bias : {0.4, 0.2, 0.0, 0.3}) {
    TuneCandidate candidate{
        .name = "as trained", .entry = std::nullopt, .values = {}, .head = Head::cosine, .scale = 30};
    if (!tuning.candidates.empty()) {
      candidate.name = fmt::format("elm:lambda={}<drw", bias);
      candidate.entry = "elm<drw";
      candidate.values = {fmt::format("lambda={}", bias)};
    }
    candidate.validation = test::synthetic_evaluation(counts, 20, bias, 0.6, 1, 7, "validation");
    tuning.candidates.push_back(candidate);
    if (candidate.validation.balanced_accuracy > tuning.candidates[tuning.chosen].validation.balanced_accuracy)
      tuning.chosen = tuning.candidates.size() - 1;
  }
  return tuning;
}

std::string line_with(const std::string& text, const std::string& beginning) {
  const std::size_t at = text.find("\n" + beginning);
  return at == std::string::npos ? "" : text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}

TEST(TuningTable, MarksTheChosenHeadAndSaysHowSureThatIs) {
  const Tuning tuning = synthetic_tuning();
  ASSERT_EQ(tuning.chosen, 2u);
  const std::string table = tuning_table(tuning);
  EXPECT_TRUE(line_with(table, "elm:lambda=0<drw").ends_with(" *")) << table;
  EXPECT_FALSE(line_with(table, "elm:lambda=0.2<drw").ends_with("*")) << table;
  for (const char* part : {"as trained", "few-shot classes, %", "many-shot classes, %", "a elm<drw",
                           "a standard error is", "The test part was not looked at", "Chosen: elm:lambda=0<drw"})
    EXPECT_TRUE(has(table, part)) << part << "\n" << table;
}

TEST(TuningTable, DrawsEveryCandidateOnThePicture) {
  const std::string table = tuning_table(synthetic_tuning());
  const std::string picture =
      table.substr(table.find("few-shot classes"), table.find("+----") - table.find("few-shot"));
  for (const char mark : {'a', 'o', '*'}) EXPECT_NE(picture.find(mark, 20), std::string::npos) << mark << picture;
}

TEST(TuningTable, WithoutFewShotClassesTheTailIsMediumAndElseTheRarestThird) {
  EXPECT_TRUE(has(tuning_table(synthetic_tuning({600, 150, 60, 50})), "medium-shot classes, %"));
  EXPECT_TRUE(has(tuning_table(synthetic_tuning({600, 500, 400, 300})), "rarest third of the classes, %"));
}

TEST(TuningTable, KeepsTheTrainedHeadWhereNoneIsBetter) {
  Tuning tuning = synthetic_tuning();
  tuning.chosen = 0;
  EXPECT_TRUE(has(tuning_table(tuning), "No new head beats the trained one"));
}

TEST(TuningHtml, IsOnePageWithoutScriptAndEscaped) {
  const std::string page = tuning_html(synthetic_tuning());
  EXPECT_TRUE(has(page, "<svg"));
  EXPECT_TRUE(has(page, "<polyline class=\"c0\""));
  EXPECT_TRUE(has(page, "class=\"ring\""));
  EXPECT_TRUE(has(page, "elm:lambda=0.2&lt;drw"));
  for (const char* part : {"<script", "<drw", "{{", "http://", "https://"}) EXPECT_FALSE(has(page, part)) << part;
}

TEST(TuningHtml, SeveralDialsMakeNoCurve) {
  Tuning tuning = synthetic_tuning();
  for (TuneCandidate& candidate : tuning.candidates) candidate.values.emplace_back("scale=20");
  EXPECT_FALSE(has(tuning_html(tuning), "<polyline"));
}

TEST(TuningJson, HasEveryCandidate) {
  const Tuning tuning = synthetic_tuning();
  const auto json = nlohmann::json::parse(to_json(tuning));
  EXPECT_EQ(json.at("schema_version"), 1);
  ASSERT_EQ(json.at("candidates").size(), 4u);
  EXPECT_EQ(json.at("chosen"), "elm:lambda=0<drw");
  EXPECT_TRUE(json.at("member").is_null());
  EXPECT_EQ(json.at("candidates")[2].at("validation").at("balanced_accuracy"),
            tuning.candidates[2].validation.balanced_accuracy);
}

}  // namespace
}  // namespace ulmus
