// A run whose heads are fitted again and chosen on its validation part.

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class Tune : public CliTest {
 protected:
  void make_run(const Arguments& more = {}) const {
    const Outcome outcome = run(compare(Arguments{"--out", "o", "--validation", "3", "--quiet"} + more));
    ASSERT_EQ(outcome.code, 0) << outcome;
  }
  nlohmann::json tuned(const Arguments& more) const {
    const Outcome outcome = run(Arguments{"tune", "--run", "o", "--json"} + more);
    EXPECT_EQ(outcome.code, 0) << outcome;
    return nlohmann::json::parse(outcome.out);
  }
};

TEST_F(Tune, TriesEveryLossWithEveryValueAndTakesTheBest) {
  make_run();
  const auto tuning = tuned({"--loss", "ce", "--losses", "elm+drw,la,crt,tau-norm,lws", "--grid",
                             "lambda=0:0.5:0.25,tau=0,1,max_margin=0.3"});
  std::vector<std::string> names;
  for (const auto& candidate : tuning.at("candidates")) names.push_back(candidate.at("name"));
  EXPECT_EQ(names, (std::vector<std::string>{"as trained", "elm:lambda=0,max_margin=0.3+drw",
                                             "elm:lambda=0.25,max_margin=0.3+drw", "elm:lambda=0.5,max_margin=0.3+drw",
                                             "la:tau=0", "la", "crt", "tau-norm:tau=0", "tau-norm:tau=1", "lws"}));
  double best = 0, chosen = -1;
  for (const auto& candidate : tuning.at("candidates")) {
    const double accuracy = candidate.at("validation").at("balanced_accuracy");
    EXPECT_EQ(candidate.at("validation").at("samples"), 30);
    best = std::max(best, accuracy);
    if (candidate.at("name") == tuning.at("chosen")) chosen = accuracy;
  }
  EXPECT_EQ(chosen, best);
  EXPECT_EQ(tuning.at("candidates")[0].at("validation"), read_json(path("o/results/ce.seed0.json")).at("validation"));
  EXPECT_TRUE(tuning.at("member").is_null());
  EXPECT_FALSE(fs::exists(path("o/checkpoints/ce-crt.seed0.safetensors")));
}

TEST_F(Tune, IsTheSameWhateverTheJobsAndFromKeptFeatures) {
  make_run();
  const Arguments arguments = {"--loss", "elm:lambda=0.5+drw", "--losses", "elm,crt", "--grid", "lambda=0:1:0.5"};
  const auto first = tuned(arguments + Arguments{"--jobs", "1"});
  const auto files = [&] { return std::distance(fs::directory_iterator(path("o/features")), {}); };
  EXPECT_EQ(files(), 1);
  EXPECT_EQ(tuned(arguments + Arguments{"--jobs", "2"}), first);
  EXPECT_EQ(files(), 1);
  fs::remove_all(path("o/features"));
  EXPECT_EQ(tuned(arguments), first);
  // Features of other weights are not used.
  const auto ce = tuned({"--loss", "ce", "--losses", "crt"});
  EXPECT_EQ(ce.at("candidates")[0].at("validation"), read_json(path("o/results/ce.seed0.json")).at("validation"));
  EXPECT_EQ(files(), 2);
}

TEST_F(Tune, ShowsATableAPictureAndAPage) {
  make_run();
  const Outcome outcome = run({"tune", "--run", "o", "--loss", "ce"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  for (const char* part : {"as trained", "elm:lambda=0.3+drw", "la:tau=1.25", "tau-norm:tau=0.7", "lws", "* chosen",
                           "The test part was not looked at", "page: o/tune.html"})
    EXPECT_TRUE(has(outcome.out, part)) << part << "\n" << outcome;
  const std::string page = read_bytes(path("o/tune.html"));
  for (const char* part : {"<svg", "<polyline", "tau-norm:tau=0.7", "held out for validation"})
    EXPECT_TRUE(has(page, part)) << part;
  EXPECT_FALSE(has(page, "<script"));
  EXPECT_FALSE(has(page, "{{"));
  EXPECT_EQ(run({"tune", "--run", "o", "--loss", "ce", "--losses", "crt", "--out", "p.html"}).code, 0);
  EXPECT_TRUE(has(read_bytes(path("p.html")), "<svg"));
}

TEST_F(Tune, ApplyAddsAMemberAndLeavesTheTrainedOneAlone) {
  make_run({"--epochs", "1"});
  const std::string trained = read_bytes(path("o/checkpoints/ce.seed0.safetensors"));
  const auto tuning = tuned({"--loss", "ce", "--losses", "crt", "--apply"});
  ASSERT_EQ(tuning.at("chosen"), "crt");
  EXPECT_EQ(tuning.at("member"), "ce/crt");
  EXPECT_EQ(read_bytes(path("o/checkpoints/ce.seed0.safetensors")), trained);

  const Outcome judged = run({"eval", "--run", "o", "--loss", "ce/crt", "--json"});
  ASSERT_EQ(judged.code, 0) << judged;
  const auto result = read_json(path("o/results/ce-crt.seed0.json"));
  EXPECT_EQ(without_ranking(nlohmann::json::parse(judged.out).at("results")[0].at("evaluation")),
            without_ranking(result.at("test")));
  EXPECT_EQ(result.at("validation"), tuning.at("candidates")[1].at("validation"));

  const auto summary = read_json(path("o/summary.json"));
  ASSERT_EQ(summary.at("results").size(), 3u);
  EXPECT_EQ(summary.at("results")[1].at("loss"), "ce/crt");
  EXPECT_EQ(summary.at("results")[1].at("selections")[0].at("chosen"), "head crt");
  EXPECT_TRUE(has(read_bytes(path("o/report.html")), "which chose: head crt for ce/crt (of 2 tried)"));
  EXPECT_TRUE(complains(run({"tune", "--run", "o", "--loss", "ce/crt"}), 2, {"ce/crt"}));
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--loss", "ldam"}), 2, {"ce seed 0", "ce/crt seed 0"}));
}

TEST_F(Tune, ApplyChangesTheKindOfHead) {
  make_run({"--epochs", "1"});
  const auto tuning = tuned({"--loss", "ce", "--losses", "elm:lambda=0.5+drw", "--apply"});
  ASSERT_EQ(tuning.at("member"), "ce/elm:lambda=0.5+drw");
  const auto result = read_json(path("o/results/ce-elm-lambda-0.5-drw.seed0.json"));
  EXPECT_EQ(result.at("head"), "cosine");
  EXPECT_EQ(result.at("scale"), 30);
  const Outcome judged = run({"eval", "--run", "o", "--loss", "ce/elm:lambda=0.5+drw", "--json"});
  ASSERT_EQ(judged.code, 0) << judged;
  EXPECT_EQ(without_ranking(nlohmann::json::parse(judged.out).at("results")[0].at("evaluation")),
            without_ranking(result.at("test")));
}

TEST_F(Tune, RefusesWhatCannotBe) {
  make_run({"--losses", "ce,ldam"});
  const auto refused = [&](const Arguments& more, const std::vector<std::string>& with) {
    EXPECT_TRUE(complains(run(Arguments{"tune", "--run", "o"} + more), 2, with));
  };
  refused({}, {"2 models", "ce seed 0", "ldam seed 0", "--loss"});
  refused({"--loss", "elm"}, {"no such model", "ce seed 0"});
  refused({"--loss", "ce", "--seed", "4"}, {"no such model"});
  refused({"--loss", "ldam", "--losses", "tau-norm"}, {"'tau-norm'", "cosine head"});
  refused({"--loss", "ldam", "--losses", "ctr"}, {"'ctr'", "did you mean 'crt'?"});
  refused({"--loss", "ldam", "--losses", "crt:tau=1"}, {"crt"});
  refused({"--loss", "ce", "--losses", "tau-norm:tau=3"}, {"[0, 2]"});
  refused({"--loss", "ce", "--losses", "elm:lambda=auto"}, {"--grid lambda=0:1:0.1"});
  refused({"--loss", "ce", "--losses", "ldam", "--grid", "lambda=0:1:0.1"}, {"'lambda'", "'ldam'"});
  refused({"--loss", "ce", "--losses", "elm:lambda=1", "--grid", "lambda=0"}, {"'lambda'", "keep one"});
  refused({"--loss", "ce", "--losses", "elm", "--grid", "lambda=1:0:0.1"}, {"1:0:0.1"});
  refused({"--loss", "ce", "--losses", "elm", "--grid", "lambda=0:1"}, {"0:1", "FIRST:LAST:STEP"});
  refused({"--loss", "ce", "--losses", "elm", "--grid", "lambda=0:1:1e-9"}, {"larger step"});
  refused({"--loss", "ce", "--losses", "elm", "--grid", "scale=-1"}, {"scale", "above 0"});
  refused({"--loss", "ce", "--losses", "elm", "--grid", "0.5"}, {"KEY="});
  refused({"--loss", "ce", "--losses", "crt,crt"}, {"'crt'", "twice"});
  EXPECT_FALSE(fs::exists(path("o/tune.html")));

  ASSERT_EQ(run(compare({"--losses", "ce", "--epochs", "1", "--out", "plain", "--quiet"})).code, 0);
  EXPECT_TRUE(complains(run({"tune", "--run", "plain"}), 2, {"no validation part", "--validation N"}));
}

TEST_F(Tune, LambdaAutoIsChosenEarlyAndWhereTheRuleBegins) {
  EXPECT_TRUE(
      complains(run(compare({"--losses", "elm:lambda=auto+drw", "--out", "x"})), 2, {"--validation N", "lambda"}));
  EXPECT_TRUE(complains(run(compare({"--losses", "elm:lambda=auto", "--validation", "2", "--epochs", "1"})), 2,
                        {"at least 2"}));
  const Arguments arguments = {"--losses", "elm:lambda=auto+drw:from=0.4", "--epochs", "4", "--validation", "3",
                               "--quiet"};
  const Outcome plan = run(compare(arguments + Arguments{"--dry-run"}));
  EXPECT_TRUE(has(plan.out, "lambda chosen before epoch 2 and 3 of 4")) << plan;
  ASSERT_EQ(run(compare(arguments + Arguments{"--out", "o"})).code, 0);
  const auto result = read_json(path("o/results/elm-lambda-auto-drw-from-0.4.seed0.json"));
  const std::string chosen = result.at("selection").at("chosen");
  EXPECT_TRUE(chosen.starts_with("lambda="));
  EXPECT_EQ(result.at("selection").at("candidates"), 5);

  std::vector<nlohmann::json> lines;
  for (std::istringstream text(read_bytes(path("o/metrics.jsonl"))); text.peek() != EOF;) {
    std::string line;
    std::getline(text, line);
    lines.push_back(nlohmann::json::parse(line));
  }
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_FALSE(lines[0].contains("chosen"));
  EXPECT_EQ(lines[1].at("trials").size(), 5u);
  EXPECT_TRUE(lines[1].contains("chosen"));
  EXPECT_EQ(lines[2].at("trials").size(), 5u);
  EXPECT_FALSE(lines[3].contains("trials"));
  EXPECT_EQ(lines[2].at("chosen").at("chosen"), chosen);
  EXPECT_EQ(lines[3].at("chosen").at("chosen"), chosen);
  EXPECT_TRUE(has(read_bytes(path("o/report.html")), chosen));
}

TEST_F(Tune, WhereTheChoiceChangesTheFittedHeadGoesOn) {
  // With a learning rate near 0 on a frozen backbone, the second epoch keeps what was fitted before it. Augmentation
  // makes the features change, so that the head is not trained alone.
  ASSERT_EQ(run(compare({"--losses", "ce", "--epochs", "1", "--quiet", "--out", "w"})).code, 0);
  for (const Arguments& average : {Arguments{}, Arguments{"--ema", "0.9"}}) {
    const Arguments arguments = {"--losses",
                                 "elm:lambda=auto+drw:from=0",
                                 "--weights",
                                 "w/checkpoints/ce.seed0.safetensors",
                                 "--freeze",
                                 "backbone",
                                 "--augment",
                                 "crop",
                                 "--epochs",
                                 "2",
                                 "--validation",
                                 "3",
                                 "--lr",
                                 "1e-12",
                                 "--quiet",
                                 "--out",
                                 "o"};
    const Outcome outcome = run(compare(arguments + average));
    ASSERT_EQ(outcome.code, 0) << outcome;
    const auto result = read_json(path("o/results/elm-lambda-auto-drw-from-0.seed0.json"));
    ASSERT_NE(result.at("selection").at("chosen"), "lambda=0.5") << "the choice did not change anything";
    std::string first, second;
    std::istringstream lines(read_bytes(path("o/metrics.jsonl")));
    ASSERT_TRUE(std::getline(lines, first) && std::getline(lines, second));
    const auto before = nlohmann::json::parse(first), after = nlohmann::json::parse(second);
    double best = 0;
    for (const auto& trial : after.at("trials")) best = std::max(best, trial.at("balanced_accuracy").get<double>());
    EXPECT_EQ(result.at("validation").at("balanced_accuracy"), best);
    EXPECT_NE(before.at("validation").at("balanced_accuracy"), best);
    fs::remove_all(path("o"));
  }
}

TEST_F(Tune, LambdaAutoOfAHeadAloneIsChosenBeforeTheFirstEpochFromWholeTrainings) {
  const Arguments common = {"--model", "linear", "--epochs", "3", "--validation", "3", "--quiet"};
  ASSERT_EQ(run(compare(common + Arguments{"--losses", "elm:lambda=auto+drw", "--out", "o"})).code, 0);
  std::string line;
  std::istringstream lines(read_bytes(path("o/metrics.jsonl")));
  ASSERT_TRUE(std::getline(lines, line));
  const auto trials = nlohmann::json::parse(line).at("trials");
  ASSERT_EQ(trials.size(), 5u);
  const auto chosen = read_json(path("o/results/elm-lambda-auto-drw.seed0.json"));
  for (const auto& trial : trials) {
    const std::string loss = fmt::format("elm:lambda={}+drw", trial.at("lambda").get<double>());
    ASSERT_EQ(run(compare(common + Arguments{"--losses", loss, "--out", loss})).code, 0);
    for (const auto& entry : fs::directory_iterator(path(loss + "/results"))) {
      const auto fixed = read_json(entry.path());
      EXPECT_NEAR(fixed.at("validation").at("nll").get<double>(), trial.at("nll").get<double>(), 1e-4) << loss;
      if (fmt::format("lambda={}", trial.at("lambda").get<double>()) == chosen.at("selection").at("chosen")) {
        EXPECT_EQ(fixed.at("test"), chosen.at("test"));
      }
    }
  }
}

TEST_F(Tune, AResumedRunKeepsTheChosenLambda) {
  const Arguments arguments =
      compare({"--losses", "elm:lambda=auto+drw:from=0", "--epochs", "12", "--validation", "3", "--quiet"});
  Process process(arguments + Arguments{"--out", "o"}, place_);
  ASSERT_TRUE(appears(path("o/metrics.jsonl")));
  while (!has(read_bytes(path("o/metrics.jsonl")), "trials")) usleep(1000);
  process.signal(SIGINT);
  ASSERT_EQ(process.wait().code, 130);
  ASSERT_FALSE(fs::exists(path("o/summary.json"))) << "the run had ended before it was stopped";
  const Outcome resumed = run({"compare", "--resume", "o", "--quiet"});
  ASSERT_EQ(resumed.code, 0) << resumed;
  ASSERT_EQ(run(arguments + Arguments{"--out", "whole"}).code, 0);
  EXPECT_TRUE(same_run(path("whole"), path("o")));
}

}  // namespace
}  // namespace ulmus::cli_test
