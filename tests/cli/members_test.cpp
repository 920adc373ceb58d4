// Trains with every loss of the family through the program.

#include <csignal>
#include <sstream>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class Members : public CliTest {};

TEST_F(Members, TrainOnFiveHundredImagesWithTheHeadTheyNeed) {
  write_mnist(path("root"), 70);
  const Outcome outcome = run(compare({"--losses", "all", "--imbalance", "exp:2", "--epochs", "2", "--lr", "0.02",
                                       "--jobs", "2", "--out", "o", "--quiet"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  const auto results = read_json(path("o/summary.json")).at("results");
  const auto losses = nlohmann::json::parse(run({"losses", "--json"}).out).at("losses");
  EXPECT_EQ(results.size(), losses.size());
  int linear = 0;
  for (const auto& result : results) {
    const std::string loss = result.at("loss");
    linear += result.at("head") == "linear";
    EXPECT_TRUE(fs::exists(path("o/checkpoints") / (loss + ".seed0.safetensors"))) << loss;
  }
  EXPECT_GT(linear, 10);
  EXPECT_LT(linear, static_cast<int>(results.size()));
  int epochs = 0;
  std::istringstream lines(read_bytes(path("o/metrics.jsonl")));
  for (std::string line; std::getline(lines, line); ++epochs)
    EXPECT_TRUE(nlohmann::json::parse(line).at("train_loss").is_number()) << line;
  EXPECT_EQ(epochs, 2 * static_cast<int>(results.size()));
}

TEST_F(Members, WhatALossCarriesSurvivesAnInterrupt) {
  const Arguments whole = compare({"--losses", "seesaw,gcl,lmd,loce", "--epochs", "4", "--jobs", "1"});
  ASSERT_EQ(run(whole + Arguments{"--out", "whole"}).code, 0);
  Process process(whole + Arguments{"--out", "o"}, place_);
  ASSERT_TRUE(appears(path("o/checkpoints/seesaw.seed0.safetensors")));
  process.signal(SIGINT);
  process.wait();
  const Outcome resumed = run({"compare", "--resume", "o"});
  ASSERT_EQ(resumed.code, 0) << resumed;
  EXPECT_TRUE(same_run(path("whole"), path("o")));
}

TEST_F(Members, WeightsOfAFileAreRead) {
  write_bytes(path("w"), "1\n1\n1\n1\n1\n2\n2\n2\n2\n2\n");
  const Outcome outcome = run(compare({"--losses", "ce+weights=w,ce", "--epochs", "1", "--out", "o"}));
  EXPECT_EQ(outcome.code, 0) << outcome;
  write_bytes(path("w"), "1\n1\n");
  EXPECT_TRUE(complains(run(compare({"--losses", "ce+weights=w", "--out", "p"})), 3,
                        {"'w' has 2 numbers, expected one for each of 10 classes"}));
  EXPECT_FALSE(fs::exists(path("p")));
}

TEST_F(Members, RulesForSamplingDrawTheImages) {
  const Outcome outcome = run(compare({"--losses", "ce,ce+rs,ce+drs:from=0.5", "--epochs", "2", "--out", "o"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_NE(outcome.err.find("balanced sampling from epoch 2 of 2"), std::string::npos) << outcome;
  const auto ce = tensors_of(path("o/checkpoints/ce.seed0.safetensors"));
  EXPECT_NE(tensors_of(path("o/checkpoints/ce-rs.seed0.safetensors")), ce);
  EXPECT_NE(tensors_of(path("o/checkpoints/ce-drs-from-0.5.seed0.safetensors")), ce);
  EXPECT_TRUE(complains(run(compare({"--losses", "ce+rs", "--sampler", "sqrt", "--out", "p"})), 2,
                        {"both say how images are drawn"}));
  EXPECT_TRUE(complains(run(compare({"--sampler", "balancd", "--out", "p"})), 2, {"did you mean 'balanced'"}));
}

TEST_F(Members, MixedBatchesAndTheReferencesImagesTrain) {
  const Outcome outcome =
      run(compare({"--losses", "ldam,ib:from=0", "--augment", "crop+cutout+mixup", "--sampler", "progressive",
                   "--split-rng", "numpy", "--epochs", "2", "--lr", "0.01", "--out", "o"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(read_json(path("o/split.json")).at("rng"), "numpy");
  EXPECT_TRUE(complains(run(compare({"--augment", "jitter", "--out", "p"})), 2, {"jitter"}));
}

TEST_F(Members, ThePageOfTheLossesIsTheTables) {
  const std::string page = read_bytes(ULMUS_SOURCE_DIR "/docs/losses.md");
  EXPECT_TRUE(page.starts_with(run({"losses", "--markdown"}).out)) << "docs/losses.md is stale; run script/docs";
}

}  // namespace
}  // namespace ulmus::cli_test
