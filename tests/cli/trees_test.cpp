// Boosted trees in the program: a run of them from end to end.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <random>

#include "cli/tiny_data.hpp"
#include "ulmus/trees/booster.hpp"

namespace ulmus::cli_test {
namespace {

/// A number, a category and a column with missing cells say which of two classes, one of them rare.
std::string table(int rows, bool labelled) {
  std::mt19937 random(5);
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  std::string text = labelled ? "size,colour,weight,kind\n" : "size,colour,weight\n";
  for (int i = 0; i < rows; ++i) {
    const bool rare = i % 8 == 0;
    const char* colours[] = {"red", "green", "blue", "grey"};
    const auto colour = static_cast<std::size_t>(4 * uniform());
    const double size = (rare && colour % 2 == 0 ? 2 : 0) + 2 * uniform();
    const std::string weight = rare && uniform() < 0.7 ? "NA" : fmt::format("{:.3f}", uniform());
    text +=
        fmt::format("{:.3f},{},{}{}\n", size, colours[colour], weight, labelled ? (rare ? ",rare" : ",common") : "");
  }
  return text;
}

class Trees : public CliTest {
 protected:
  void SetUp() override {
    if (xgboost_version().empty()) GTEST_SKIP() << "built without XGBoost";
    write_bytes(path("t.csv"), table(400, true));
    write_bytes(path("new.csv"), table(30, false));
  }

  static Arguments train(const Arguments& more) {
    return Arguments{"train", "--data", "csv:t.csv?label=kind", "--loss", "bs", "--threads", "1"} + more;
  }
};

TEST_F(Trees, AreTrainedEvaluatedReportedAndPredictedWith) {
  const Outcome trained =
      run(train({"--model", "trees:rounds=40,depth=3,patience=10", "--validation", "8", "--out", "o"}));
  ASSERT_EQ(trained.code, 0) << trained;
  EXPECT_TRUE(has(trained.err, "at most 40 rounds")) << trained;
  EXPECT_TRUE(has(trained.err, "split by its levels")) << trained;
  const auto result = read_json(path("o/results/bs.seed0.json"));
  EXPECT_GT(result.at("test").at("balanced_accuracy").get<double>(), 0.75);
  EXPECT_TRUE(result.at("selection").at("chosen").get<std::string>().starts_with("rounds="));
  EXPECT_EQ(result.at("importance").at("columns"), (nlohmann::json{"size", "colour", "weight"}));
  const std::string page = read_bytes(path("o/report.html"));
  EXPECT_TRUE(has(page, "id=\"importance\"")) << "the chart of the columns";
  EXPECT_TRUE(has(page, "best on the validation part"));

  const Outcome evaluated = run({"eval", "--run", "o", "--json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated;
  EXPECT_EQ(nlohmann::json::parse(evaluated.out).at("results").at(0).at("evaluation").at("confusion"),
            result.at("test").at("confusion"));
  const Outcome corrected = run({"eval", "--run", "o", "--prior", "train", "--temperature", "auto"});
  EXPECT_EQ(corrected.code, 0) << corrected;
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--posthoc", "tau-norm"}), 2, {"trees have no head"}));

  const Outcome predicted = run({"predict", "--run", "o", "new.csv"});
  ASSERT_EQ(predicted.code, 0) << predicted;
  EXPECT_EQ(std::count(predicted.out.begin(), predicted.out.end(), '\n'), 31);
  EXPECT_EQ(predicted.out.find("nan"), std::string::npos);
  write_bytes(path("other.csv"), "size,colour,weight\n1,ultraviolet,\n");
  EXPECT_EQ(run({"predict", "--run", "o", "other.csv"}).code, 0) << "an unseen level and a missing cell";

  const Outcome exported = run({"export", "--run", "o", "--format", "xgboost", "--out", "m.json"});
  ASSERT_EQ(exported.code, 0) << exported;
  EXPECT_TRUE(has(read_bytes(path("m.json")), "binary:logistic")) << "not read as JSON, as XGBoost writes NaN in it";
  const auto facts = read_json(path("m.meta.json"));
  EXPECT_EQ(facts.at("classes"), (nlohmann::json{"common", "rare"}));
  EXPECT_NEAR(facts.at("assumed_prior").at(0).get<double>(), 0.5, 1e-9) << "balanced softmax";
  EXPECT_TRUE(
      complains(run({"export", "--run", "o", "--format", "safetensors", "--out", "x"}), 2, {"--format xgboost"}));
  EXPECT_TRUE(complains(run({"tune", "--run", "o"}), 2, {"ulmus compare"}));
}

TEST_F(Trees, CompareLossesAndSeeds) {
  const Outcome outcome =
      run({"compare", "--data", "csv:t.csv?label=kind", "--losses", "ce,elm:lambda=0.5,ldam+drw", "--seeds", "2",
           "--model", "trees:rounds=12,subsample=0.7", "--threads", "1", "--out", "o"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.out, "elm:lambda=0.5")) << outcome;
  EXPECT_NE(read_json(path("o/results/ce.seed0.json")).at("train"),
            read_json(path("o/results/ce.seed1.json")).at("train"));
}

TEST_F(Trees, GoOnAfterAKillToTheSameBytes) {
  write_bytes(path("t.csv"), table(6000, true));
  const Arguments more = {"--model", "trees:rounds=300,depth=5,subsample=0.8,patience=0", "--validation", "20"};
  Process process(train(more + Arguments{"--out", "o"}), place_);
  const fs::path checkpoint = path("o/checkpoints/bs.seed0.safetensors");
  for (int i = 0; i < 6000 && !fs::exists(checkpoint); ++i) ::usleep(5000);
  ASSERT_TRUE(fs::exists(checkpoint));
  process.signal(SIGKILL);
  process.wait();
  EXPECT_FALSE(fs::exists(path("o/results/bs.seed0.json"))) << "the run had ended before it was stopped";
  const Outcome resumed = run({"train", "--resume", "o"});
  ASSERT_EQ(resumed.code, 0) << resumed;
  ASSERT_EQ(run(train(more + Arguments{"--out", "whole"})).code, 0);
  EXPECT_TRUE(same_run(path("whole"), path("o")));
}

TEST_F(Trees, StopWhenTheValidationPartHasNotBeenBetterForSomeRounds) {
  const Outcome outcome =
      run(train({"--model", "trees:rounds=1000,depth=3,patience=6", "--validation", "8", "--quiet", "--out", "o"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  const auto result = read_json(path("o/results/bs.seed0.json"));
  const auto kept = result.at("epochs").get<int>();
  EXPECT_LT(kept, 994);
  EXPECT_EQ(result.at("selection"),
            (nlohmann::json{{"chosen", fmt::format("rounds={}", kept)}, {"candidates", kept + 6}}));
}

TEST_F(Trees, OfADamagedCheckpointAreNotRead) {
  ASSERT_EQ(run(train({"--model", "trees:rounds=3", "--quiet", "--out", "o"})).code, 0);
  const fs::path checkpoint = path("o/checkpoints/bs.seed0.safetensors");
  std::string bytes = read_bytes(checkpoint);
  bytes[bytes.size() - 200] ^= 1;
  write_bytes(checkpoint, bytes);
  EXPECT_TRUE(complains(run({"eval", "--run", "o"}), 3, {"bs.seed0.safetensors", "not those that were written"}));
}

TEST_F(Trees, RefuseWhatCannotApply) {
  const auto refused = [&](const Arguments& more, const std::vector<std::string>& with) {
    EXPECT_TRUE(complains(run(train(Arguments{"--model", "trees", "--out", "x"} + more)), 2, with));
    EXPECT_FALSE(fs::exists(path("x")));
  };
  refused({"--lr", "0.1"}, {"--lr", "eta"});
  refused({"--epochs", "20"}, {"--epochs", "trees:rounds=20"});
  refused({"--sampler", "balanced"}, {"--sampler", "+cb"});
  refused({"--loss", "focal"}, {"loss 'focal' cannot grow trees", "shape", "ldam"});
  refused({"--loss", "elm:lambda=auto"}, {"lambda=auto"});
  refused({"--model", "trees:dept=3"}, {"did you mean 'depth'?"});
  EXPECT_TRUE(complains(run({"train", "--data", "mnist", "--data-root", "root", "--loss", "ce", "--model", "trees"}), 2,
                        {"holds images"}));
}

TEST_F(Trees, AreGrownOnRareClassesConstantColumnsAndManyLevels) {
  std::string rows = "a,b,k\n";
  for (int i = 0; i < 60; ++i) rows += fmt::format("1,x,{}\n", i < 2 ? "rare" : "common");
  write_bytes(path("constant.csv"), rows);
  const Outcome constant =
      run({"train", "--data", "csv:constant.csv?label=k", "--loss", "bs", "--model", "trees:rounds=5", "--out", "c"});
  EXPECT_EQ(constant.code, 0) << constant;

  std::string many = "name,n,k\n";
  for (int i = 0; i < 20'000; ++i)
    many += fmt::format("l{},{},{}\n", i % 10'000, i % 7, i % 10 == 0 ? "rare" : "common");
  write_bytes(path("many.csv"), many);
  const Outcome levels = run({"train", "--data", "csv:many.csv?label=k", "--loss", "ce", "--model",
                              "trees:rounds=3,depth=3", "--threads", "1", "--out", "m"});
  EXPECT_EQ(levels.code, 0) << levels;
}

}  // namespace
}  // namespace ulmus::cli_test
