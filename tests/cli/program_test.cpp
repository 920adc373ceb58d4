// The program as a whole, and the commands that only print information.

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

TEST(Program, WithoutArgumentsExplainsItself) {
  const Outcome outcome = ulmus({});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(outcome.err.empty()) << outcome;
  for (const char* command : {"compare", "train", "eval", "inspect", "losses", "report", "bench", "Exit codes"})
    EXPECT_TRUE(has(outcome.out, command)) << command << "\n" << outcome;
}

TEST(Program, TellsItsVersion) {
  const Outcome outcome = ulmus({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.out.starts_with("ulmus ")) << outcome;
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 1) << outcome;
}

TEST(Program, HelpOfEveryVerbNamesItsOptionsAndGivesAnExample) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> commands = {
      {"compare", {"--data",    "--imbalance", "--losses",     "--seeds", "--validation", "--model",     "--head",
                   "--augment", "--epochs",    "--batch-size", "--lr",    "--schedule",   "--reduction", "--jobs",
                   "--out",     "--resume",    "--config",     "--json",  "--dry-run",    "--quiet"}},
      {"train", {"--data", "--loss", "--epochs", "--out", "--resume", "--dry-run"}},
      {"eval",
       {"--run", "--data", "--loss", "--seed", "--posthoc", "--prior", "--temperature", "--predictions", "--skip-bad",
        "--json"}},
      {"predict",
       {"PATH", "--run", "--loss", "--seed", "--format", "--top", "--out", "--posthoc", "--prior", "--temperature",
        "--threads", "--skip-bad"}},
      {"export", {"--run", "--loss", "--seed", "--format", "--out"}},
      {"inspect", {"--data", "--imbalance", "--image-size", "--picture", "--quick", "--all", "--json"}},
      {"losses", {"name", "--json"}},
      {"report", {"run", "--json"}},
      {"bench", {"--losses", "--sizes", "--dtypes", "--threads", "--json"}}};
  for (const auto& [command, options] : commands) {
    const Outcome outcome = ulmus({command, "--help"});
    EXPECT_EQ(outcome.code, 0) << outcome;
    for (const std::string& option : options) EXPECT_TRUE(has(outcome.out, option)) << option << "\n" << outcome;
    EXPECT_TRUE(has(outcome.out, "Example:\n  ulmus " + command)) << outcome;
  }
}

TEST(Program, SaysWhenItsResultCannotBeWritten) {
  const Outcome outcome = ulmus({"losses"}, {.standard_output = "/dev/full"});
  EXPECT_EQ(outcome.code, 5) << outcome;
  EXPECT_EQ(outcome.error_lines().size(), 1u) << outcome;
}

TEST(Bench, PrintsOneRecordForEachCombination) {
  const Outcome outcome = ulmus({"bench", "--losses", "ce,elm:lambda=0.5", "--sizes", "16x10,8x100", "--dtypes", "f32",
                                 "--threads", "1", "--seconds", "0.001", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  const auto records = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(records.size(), 4u) << outcome;
  for (const auto& record : records) {
    EXPECT_GT(record.at("ns_per_element").get<double>(), 0);
    for (const char* field :
         {"loss", "n", "c", "dtype", "threads", "ceiling_fraction", "ratio_ce", "ratio_eager_ce", "ratio_composed"})
      EXPECT_TRUE(record.contains(field)) << field;
  }
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--sizes", "128"}, {"--dtypes", "f23"}, {"--threads", "0"}, {"--losses", "elmm"}, {"--seconds", "0"}}) {
    const Outcome refused = ulmus({"bench", arguments[0], arguments[1]});
    EXPECT_EQ(refused.code, 2) << refused;
    EXPECT_EQ(refused.error_lines().size(), 1u) << refused;
  }
}

TEST(Losses, AreListedAndExplained) {
  const Outcome list = ulmus({"losses"});
  EXPECT_EQ(list.code, 0);
  for (const char* name : {"ce", "ldam", "elm", "+cb", "+inverse", "+drw"}) EXPECT_TRUE(has(list.out, name)) << list;
  const Outcome elm = ulmus({"losses", "elm"});
  EXPECT_EQ(elm.code, 0);
  for (const char* word : {"Enlarged Large Margin", "lambda = ", "max_margin = ", "cosine", "pitfalls"})
    EXPECT_TRUE(has(elm.out, word)) << elm;
  const Outcome drw = ulmus({"losses", "+drw"});
  EXPECT_EQ(drw.code, 0);
  for (const char* word : {"+drw", "from = 0.8", "beta = "}) EXPECT_TRUE(has(drw.out, word)) << drw;
}

TEST(Losses, AreOneJsonDocument) {
  const Outcome outcome = ulmus({"losses", "--json"});
  ASSERT_EQ(outcome.code, 0);
  const auto printed = nlohmann::json::parse(outcome.out);
  bool found = false;
  for (const auto& loss : printed.at("losses")) {
    EXPECT_FALSE(loss.at("equation").get<std::string>().empty());
    found = found || loss.at("name") == "elm";
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(printed.at("rules").size(), 6u);
}

class Doctor : public CliTest {};

TEST_F(Doctor, SaysWhatIsThereAndWhatIsMissing) {
  const Outcome outcome =
      ulmus({"doctor", "--json"},
            {.folder = place_.folder,
             .environment = {{"ULMUS_CACHE", "nothing"}, {"ULMUS_DATA", "root"}, {"ULMUS_CHARTJS", "nothing"}}});
  ASSERT_EQ(outcome.code, 0) << outcome;
  std::map<std::string, nlohmann::json> findings;
  const auto parsed = nlohmann::json::parse(outcome.out);
  for (const auto& finding : parsed.at("findings")) findings[finding.at("topic")] = finding;
  for (const char* topic : {"Ulmus", "processor", "memory", "memory rate", "LibTorch", "GPU"})
    EXPECT_TRUE(findings.contains(topic)) << topic;
  EXPECT_EQ(findings["weights"].at("value"), "none in nothing");
  EXPECT_TRUE(findings["weights"].at("advice").is_string());
  EXPECT_NE(findings["data sets"].at("value").get<std::string>().find("mnist"), std::string::npos);
  EXPECT_TRUE(findings["Chart.js"].at("advice").is_string());
  const Outcome text = run({"doctor"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_NE(text.out.find("GB/s"), std::string::npos) << text;
}

class Inspect : public CliTest {};

TEST_F(Inspect, ShowsTheClassesOfADataSet) {
  const Outcome outcome = run({"inspect", "--data", "mnist", "--data-root", "root", "--imbalance", "exp:10"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(outcome.err.empty()) << outcome;
  for (const char* text : {"10 classes", "1x28x28", "60 to test", "imbalance ratio 10"})
    EXPECT_TRUE(has(outcome.out, text)) << text << outcome;
}

TEST_F(Inspect, TellsTheSameAsJson) {
  const Outcome outcome = run({"inspect", "--data", "mnist", "--data-root", "root", "--imbalance", "exp:10", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  const auto printed = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(printed.at("train_counts").front(), 30);
  EXPECT_EQ(printed.at("train_counts").back(), 3);
  EXPECT_EQ(printed.at("test_counts"), std::vector<int>(10, 6));
  EXPECT_EQ(printed.at("sha256").get<std::string>().size(), 64u);
  EXPECT_EQ(printed.at("shape"), (std::vector<int>{1, 28, 28}));
}

TEST_F(Inspect, ProposesARunThatCanBePlanned) {
  const Outcome outcome = run({"inspect", "--data", "mnist", "--data-root", "root", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  const auto proposal = nlohmann::json::parse(outcome.out).at("proposal");
  EXPECT_TRUE(has(proposal.at("command").get<std::string>(), "ulmus compare --data mnist --data-root root")) << outcome;
  const Outcome plan =
      run({"compare", "--data", "mnist", "--data-root", "root", "--losses", proposal.at("losses").get<std::string>(),
           "--schedule", proposal.at("schedule").get<std::string>(), "--epochs",
           std::to_string(proposal.at("epochs").get<int>()), "--validation",
           std::to_string(proposal.at("validation").get<int>()), "--seeds", "3", "--dry-run"});
  EXPECT_EQ(plan.code, 0) << plan;
}

TEST_F(Inspect, RefusesAPictureWithoutAFile) {
  const Outcome outcome = run({"inspect", "--data", "mnist", "--data-root", "root", "--picture", ""});
  EXPECT_EQ(outcome.code, 2) << outcome;
  EXPECT_TRUE(has(outcome.err, "--picture is empty")) << outcome;
}

TEST_F(Inspect, CountsWhatARatioLeavesEmpty) {
  const Outcome outcome = run({"inspect", "--data", "mnist", "--data-root", "root", "--imbalance", "step:100"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(has(outcome.out, "5 classes are left without a training sample")) << outcome;
}

}  // namespace
}  // namespace ulmus::cli_test
