#include "ulmus/report/run_folder.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "report/synthetic_run.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public ::testing::Test {
 protected:
  RunFolderTest() {
    test::SyntheticRun run;
    run.losses = {"ldam+drw", "ce"};
    run.class_names = {"cat", "dog", "fox"};
    run.seeds = 2;
    run.epochs = 3;
    run.test_per_class = 5;
    test::write_synthetic_run(path(), run);
  }

  const fs::path& path() const { return folder_.path(); }

  /// The message of the Error{data} thrown by reading.
  std::string refusal(const fs::path& folder) const {
    try {
      read_run(folder);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no error was thrown";
    return {};
  }

  void edit(const fs::path& file, const std::function<void(nlohmann::json&)>& change) const {
    nlohmann::json json = nlohmann::json::parse(read_file(path() / file));
    change(json);
    write_file(path() / file, json.dump());
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(RunFolderTest, ReadsEveryFact) {
  const RunFolder run = read_run(path());
  EXPECT_EQ(run.command, "ulmus compare --data fashion-mnist --imbalance exp:100 --seeds 3 --out runs/first");
  EXPECT_EQ(run.data, "fashion-mnist");
  EXPECT_EQ(run.imbalance, "exp:100");
  EXPECT_EQ(run.class_names, (std::vector<std::string>{"cat", "dog", "fox"}));
  EXPECT_EQ(run.train_counts, (std::vector<std::int64_t>{6000, 600, 60}));
  ASSERT_EQ(run.results.size(), 4U);
  EXPECT_EQ(run.results[0].test.samples, 15);
  EXPECT_EQ(run.results[0].head, "cosine");
  EXPECT_FALSE(run.results[0].validation.has_value());
  EXPECT_EQ(run.epochs.size(), 12U);
}

TEST_F(RunFolderTest, ResultsComeByOrderThenSeed) {
  const RunFolder run = read_run(path());
  std::vector<std::string> members;
  for (const TrialResult& result : run.results) members.push_back(result.loss + " " + std::to_string(result.seed));
  EXPECT_EQ(members, (std::vector<std::string>{"ldam+drw 0", "ldam+drw 1", "ce 0", "ce 1"}));
}

TEST_F(RunFolderTest, LastLineCutShortIsPassedOver) {
  const std::string text = read_file(path() / "metrics.jsonl");
  write_file(path() / "metrics.jsonl", text.substr(0, text.size() - 20));
  EXPECT_EQ(read_run(path()).epochs.size(), 11U);
}

TEST_F(RunFolderTest, LineWrittenBehindACutOneIsRead) {
  const std::string text = read_file(path() / "metrics.jsonl");
  const std::string first = text.substr(0, text.find('\n') + 1);
  write_file(path() / "metrics.jsonl", first.substr(0, 40) + first + text);
  EXPECT_EQ(read_run(path()).epochs.size(), 12U);
}

TEST_F(RunFolderTest, RepeatedEpochCountsTheLastTime) {
  const std::string text = read_file(path() / "metrics.jsonl");
  nlohmann::json again = nlohmann::json::parse(text.substr(0, text.find('\n')));
  again["train_loss"] = 42;
  append_line(path() / "metrics.jsonl", again.dump());
  const RunFolder run = read_run(path());
  EXPECT_EQ(run.epochs.size(), 12U);
  EXPECT_EQ(run.epochs.front().train_loss, 42);
}

TEST_F(RunFolderTest, DamagedLineInTheMiddleIsNamed) {
  write_file(path() / "metrics.jsonl", "{\"loss\":\"ce\"}\n" + read_file(path() / "metrics.jsonl"));
  const std::string message = refusal(path());
  EXPECT_NE(message.find("metrics.jsonl"), std::string::npos) << message;
  EXPECT_NE(message.find("line 1"), std::string::npos) << message;
}

TEST_F(RunFolderTest, MillionsOfOpenBracesAreRefusedAtOnce) {
  const std::string metrics = read_file(path() / "metrics.jsonl");
  for (const std::string& piece : std::vector<std::string>{"{", R"({"a":)", R"({"a":[)", R"("{)"}) {
    std::string line;
    while (line.size() < 3'000'000) line += piece;
    write_file(path() / "metrics.jsonl", line + "\n" + metrics);
    EXPECT_NE(refusal(path()).find("line 1"), std::string::npos);
    line.resize(60'000);  // short enough to be parsed
    write_file(path() / "metrics.jsonl", line + "\n" + metrics);
    EXPECT_NE(refusal(path()).find("line 1"), std::string::npos);
  }
}

TEST_F(RunFolderTest, DeepOrDoubledJsonIsDamaged) {
  write_file(path() / "results" / "loss0.seed0.json", std::string(1'000'000, '['));
  EXPECT_NE(refusal(path()).find("nested deeper than 64"), std::string::npos) << refusal(path());
  write_file(path() / "results" / "loss0.seed0.json", R"({"schema_version":2,"schema_version":2})");
  EXPECT_NE(refusal(path()).find("comes twice"), std::string::npos) << refusal(path());
}

TEST_F(RunFolderTest, MetricsMayBeMissing) {
  fs::remove(path() / "metrics.jsonl");
  EXPECT_TRUE(read_run(path()).epochs.empty());
}

TEST_F(RunFolderTest, MissingFolderIsNamed) {
  EXPECT_NE(refusal(path() / "nowhere").find("nowhere' does not exist"), std::string::npos);
}

TEST_F(RunFolderTest, FolderWithoutASplitIsNoRun) {
  fs::remove(path() / "split.json");
  EXPECT_NE(refusal(path()).find("not a run folder"), std::string::npos);
}

TEST_F(RunFolderTest, RunWithoutResultsIsRefused) {
  fs::remove_all(path() / "results");
  EXPECT_NE(refusal(path()).find("no results yet"), std::string::npos);
}

TEST_F(RunFolderTest, DamagedResultIsNamed) {
  write_file(path() / "results" / "loss0.seed0.json", "{\"schema_version\":1,");
  EXPECT_NE(refusal(path()).find("loss0.seed0.json' is damaged"), std::string::npos);
}

TEST_F(RunFolderTest, UnknownSchemaVersionIsRefused) {
  edit("results/loss0.seed0.json", [](nlohmann::json& json) { json["schema_version"] = 1; });
  EXPECT_NE(refusal(path()).find("schema version 1, this program reads 2"), std::string::npos);
}

TEST_F(RunFolderTest, MissingKeyIsNamed) {
  edit("results/loss1.seed1.json", [](nlohmann::json& json) { json["test"].erase("ece"); });
  const std::string message = refusal(path());
  EXPECT_NE(message.find("loss1.seed1.json"), std::string::npos) << message;
  EXPECT_NE(message.find("ece"), std::string::npos) << message;
}

TEST_F(RunFolderTest, ResultOfOtherClassesIsRefused) {
  edit("split.json", [](nlohmann::json& json) {
    json["class_names"].push_back("owl");
    json["train_counts"].push_back(3);
  });
  EXPECT_NE(refusal(path()).find("does not fit the 4 classes"), std::string::npos);
}

TEST_F(RunFolderTest, CountsOfWhatIsNotThereAreRefused) {
  const auto count = nlohmann::json::array({nlohmann::json::array({3, 1})});
  edit("results/loss0.seed0.json", [&](nlohmann::json& json) { json["test"]["confusion"][0] = count; });
  EXPECT_NE(refusal(path()).find("loss0.seed0.json' is damaged: it does not fit the 3 classes"), std::string::npos);
  edit("results/loss0.seed0.json", [](nlohmann::json& json) { json["test"]["confusion"][0] = {3, 1}; });
  EXPECT_NE(refusal(path()).find("loss0.seed0.json' is damaged"), std::string::npos);
}

TEST_F(RunFolderTest, AGalleryThatDoesNotFitIsRefused) {
  const auto write = [&](const std::string& images, const std::string& mistake) {
    write_file(path() / "gallery.json", R"({"schema_version":1,"baseline":"ce","classes":[],"images":)" + images +
                                            R"(,"losses":[{"loss":"ce","rescued":[],"pairs":[],"mistakes":[)" +
                                            mistake + "]}]}");
  };
  const std::string good = R"([{"class":2,"jpeg":"QUJD"}])";
  write(good, R"({"image":0,"predicted":1,"confidence":0.5})");
  ASSERT_TRUE(read_run(path()).gallery.has_value());
  for (const char* mistake :
       {R"({"image":1,"predicted":1,"confidence":0.5})", R"({"image":0,"predicted":3,"confidence":0.5})",
        R"({"image":-1,"predicted":1,"confidence":0.5})", R"({"image":0})", "7"}) {
    write(good, mistake);
    EXPECT_NE(refusal(path()).find("gallery.json' is damaged"), std::string::npos) << mistake;
  }
  for (const char* images :
       {R"([{"class":3,"jpeg":"QUJD"}])", R"([{"class":0,"jpeg":"\" onload=\"x"}])", R"([{"class":0,"jpeg":"QUJ"}])"}) {
    write(images, "");
    EXPECT_NE(refusal(path()).find("gallery.json' is damaged"), std::string::npos) << images;
  }
}

TEST_F(RunFolderTest, HistogramThatDoesNotFitItsEdgesIsRefused) {
  edit("results/loss0.seed0.json",
       [](nlohmann::json& json) { json["test"]["margin_edges"] = nlohmann::json::array(); });
  EXPECT_NE(refusal(path()).find("loss0.seed0.json"), std::string::npos);
}

}  // namespace
}  // namespace ulmus
