// Runs in two stages, the head first and then all layers; rates for each part; sharpness-aware minimisation.

#include <csignal>
#include <sstream>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class Stages : public CliTest {
 protected:
  Stages() { EXPECT_EQ(run(compare({"--losses", "ce", "--out", "first", "--quiet"})).code, 0); }
  /// A head on the trained backbone for 3 epochs.
  Arguments head(const std::string& out, const Arguments& more = {}) const {
    return compare(Arguments{"--losses", "ce", "--weights", k_weights, "--freeze", "backbone", "--out", out} + more);
  }
  std::vector<nlohmann::json> epochs_of(const std::string& out) const {
    std::istringstream lines(read_bytes(path(out) / "metrics.jsonl"));
    std::vector<nlohmann::json> epochs;
    for (std::string line; std::getline(lines, line);) epochs.push_back(nlohmann::json::parse(line));
    return epochs;
  }
  const std::string k_weights = "first/checkpoints/ce.seed0.safetensors";
  const std::string k_checkpoint = "checkpoints/ce.seed0.safetensors";
};

TEST_F(Stages, HeadFirstThenAllLayers) {
  ASSERT_EQ(run(head("head", {"--quiet"})).code, 0);
  const Outcome both = run(head("both", {"--unfreeze", "2", "--augment", "crop"}));
  ASSERT_EQ(both.code, 0) << both;
  EXPECT_TRUE(has(both.err,
                  "then all layers for 2 epochs, the head at a tenth of its rate, the others from 0.005, "
                  "augmentation crop"))
      << both;
  const auto before = weights_of(path(k_weights)), after_all = weights_of(path("both") / k_checkpoint);
  auto after_head = weights_of(path("head") / k_checkpoint);
  after_head.merge(weights_of(path("head/backbone.safetensors")));
  for (const auto& [name, bytes] : before) {
    EXPECT_EQ(after_head.at(name) == bytes, !name.starts_with("fc.")) << name;
    const bool statistic = has(name, "running_") || has(name, "num_batches_tracked");
    EXPECT_EQ(after_all.at(name) == after_head.at(name), statistic) << name;
  }
  // The first stage is the run without the second.
  const auto alone = epochs_of("head"), epochs = epochs_of("both");
  ASSERT_EQ(alone.size(), 3u);
  ASSERT_EQ(epochs.size(), 5u);
  for (std::size_t i = 0; i < alone.size(); ++i)
    for (const char* key : {"train_loss", "learning_rate", "test"})
      EXPECT_EQ(epochs[i].at(key), alone[i].at(key)) << key;
  EXPECT_EQ(read_json(path("both/results/ce.seed0.json")).at("epochs"), 5);
}

TEST_F(Stages, RatesOfTheSecondAreATenthAndMayDifferByPart) {
  ASSERT_EQ(
      run(head("o", {"--unfreeze", "1", "--schedule", "constant", "--warmup", "0", "--lr-backbone", "0.0004"})).code,
      0);
  const auto epochs = epochs_of("o");
  ASSERT_EQ(epochs.size(), 4u);
  EXPECT_EQ(epochs[2].at("learning_rate"), 0.05);
  EXPECT_FALSE(epochs[2].contains("learning_rate_backbone"));
  EXPECT_NEAR(epochs[3].at("learning_rate"), 0.005, 1e-12);
  EXPECT_EQ(epochs[3].at("learning_rate_backbone"), 0.0004);
  EXPECT_TRUE(has(read_bytes(path("o/config.toml")), "unfreeze = 1\n"));
  EXPECT_TRUE(has(read_bytes(path("o/config.toml")), "lr-backbone = 0.0004\n"));
}

TEST_F(Stages, AnInterruptedSecondStageGoesOnToTheSameBits) {
  const Arguments more = {"--unfreeze", "9", "--augment", "crop", "--ema", "0.9", "--loader-threads", "0"};
  Process process(head("o", more), place_);
  ASSERT_TRUE(appears(path("o") / k_checkpoint));
  process.signal(SIGINT);
  const Outcome stopped = process.wait();
  EXPECT_EQ(stopped.code, 130) << stopped;
  const Outcome resumed = run({"compare", "--resume", "o"});
  ASSERT_EQ(resumed.code, 0) << resumed;
  ASSERT_EQ(run(head("whole", more)).code, 0);
  EXPECT_TRUE(same_run(path("whole"), path("o")));
  EXPECT_TRUE(complains(run({"tune", "--run", "o", "--losses", "elm:lambda=0.5"}), 2, {"validation"}));
  EXPECT_EQ(run({"eval", "--run", "o"}).code, 0);
}

TEST_F(Stages, OptionsThatCannotApplyAreRefused) {
  EXPECT_TRUE(complains(run(compare({"--unfreeze", "2"})), 2, {"random weights", "--weights"}));
  EXPECT_TRUE(
      complains(run(compare({"--unfreeze", "2", "--freeze", "none"})), 2, {"--unfreeze 2", "no layer is frozen"}));
  EXPECT_TRUE(complains(run(head("o", {"--lr-backbone", "0.1"})), 2, {"--lr-backbone 0.1", "frozen", "--unfreeze"}));
  EXPECT_TRUE(complains(run(compare({"--lr-backbone", "0.1", "--model", "linear"})), 2, {"'linear' is a head alone"}));
}

TEST_F(Stages, ABackboneMayLearnSlowerFromTheStart) {
  ASSERT_EQ(run(compare({"--losses", "ce", "--weights", k_weights, "--freeze", "none", "--lr-backbone", "1e-30",
                         "--epochs", "1", "--out", "o"}))
                .code,
            0);
  const auto before = weights_of(path(k_weights)), after = weights_of(path("o") / k_checkpoint);
  EXPECT_EQ(after.at("conv1.weight"), before.at("conv1.weight"));
  EXPECT_NE(after.at("fc.weight"), before.at("fc.weight"));
}

TEST_F(Stages, SharpnessAwareMinimisationTrainsAndGoesOnToTheSameBits) {
  const Arguments sam = {"--losses", "ce,seesaw", "--optimizer", "sam:base=adamw", "--lr",
                         "0.003",    "--epochs",  "6",           "--quiet"};
  const Outcome whole = run(compare(sam + Arguments{"--out", "whole"}));
  ASSERT_EQ(whole.code, 0) << whole;
  EXPECT_TRUE(has(read_bytes(path("whole/config.toml")), "optimizer = \"sam:rho=0.05,base=adamw\"\n"));
  ASSERT_EQ(run(compare(sam + Arguments{"--optimizer", "adamw", "--out", "plain"})).code, 0);
  EXPECT_FALSE(same_run(path("whole"), path("plain")));
  Process process(compare(sam + Arguments{"--out", "o", "--jobs", "1"}), place_);
  ASSERT_TRUE(appears(path("o") / k_checkpoint));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait().code, 130);
  ASSERT_EQ(run({"compare", "--resume", "o"}).code, 0);
  EXPECT_TRUE(same_run(path("whole"), path("o")));
}

}  // namespace
}  // namespace ulmus::cli_test
