// Interrupted and resumed runs, and damaged checkpoints.

#include <csignal>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class Resume : public CliTest {
 protected:
  Arguments long_run(const std::string& out, const Arguments& more = {}) const {
    return compare({"--epochs", "12", "--augment", "crop", "--jobs", "1", "--out", out}) + more;
  }

  /// Sends the signal `number` to a run once its file `file` exists.
  Outcome stop_at(const std::string& file, int number, const std::string& out, const Arguments& more = {}) const {
    Process process(long_run(out, more), place_);
    EXPECT_TRUE(appears(path(out) / file));
    process.signal(number);
    return process.wait();
  }

  void expect_whole_after_resume(const std::string& out, const Arguments& more = {}) const {
    EXPECT_FALSE(fs::exists(path(out) / "summary.json")) << "the run had ended before it was stopped";
    const Outcome resumed = run({"compare", "--resume", out});
    ASSERT_EQ(resumed.code, 0) << resumed;
    ASSERT_EQ(run(long_run("whole", more)).code, 0);
    EXPECT_TRUE(same_run(path("whole"), path(out)));
    EXPECT_EQ(without_times(read_json(path("whole/summary.json")).at("results")),
              without_times(read_json(path(out) / "summary.json").at("results")));
  }
};

TEST_F(Resume, AfterAnInterruptGoesOnToTheSameBits) {
  const Outcome stopped = stop_at("checkpoints/elm-lambda-0.5-drw.seed0.safetensors", SIGINT, "o");
  EXPECT_EQ(stopped.code, 130) << stopped;
  const std::string line = stopped.error_lines().back();
  EXPECT_TRUE(line.starts_with("ulmus: interrupted in epoch ")) << stopped;
  EXPECT_TRUE(has(line, "elm:lambda=0.5+drw seed 0; go on with 'ulmus compare --resume o'")) << stopped;
  expect_whole_after_resume("o");
}

TEST_F(Resume, AfterAKillGoesOnToTheSameBits) {
  EXPECT_EQ(stop_at("checkpoints/ce.seed0.safetensors", SIGKILL, "o").code, -SIGKILL);
  write_bytes(path("o/checkpoints/ce.seed0.safetensors.tmp4999999"), "half a checkpoint");
  std::string metrics = read_bytes(path("o/metrics.jsonl"));
  write_bytes(path("o/metrics.jsonl"), metrics + "{\"epoch\":1,\"lo");
  expect_whole_after_resume("o");
  for (const std::string& name : contents()) EXPECT_FALSE(has(name, ".tmp")) << name;
}

TEST_F(Resume, RestoresAdamwTheMovingAverageAndDropout) {
  const Arguments more = {"--optimizer", "adamw", "--lr", "0.003", "--ema", "0.9", "--clip", "1", "--model", "mlp"};
  const Outcome stopped = stop_at("checkpoints/ce.seed0.safetensors", SIGINT, "o", more);
  EXPECT_EQ(stopped.code, 130) << stopped;
  expect_whole_after_resume("o", more);
}

TEST_F(Resume, AnInterruptBeforeTheFirstEpochLeavesNothing) {
  write_mnist(path("root"), 600);
  const auto before = contents();
  Process process(compare({"--out", "new/o", "--imbalance", "none", "--batch-size", "2"}), place_);
  ASSERT_TRUE(appears(path("new/o/log.txt")));
  process.signal(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.code, 130) << outcome;
  EXPECT_TRUE(has(outcome.error_lines().back(), "nothing is kept")) << outcome;
  EXPECT_EQ(contents(), before);
}

TEST_F(Resume, OfAFinishedRunReportsItAgain) {
  const Outcome first = run(compare({"--out", "o"}));
  ASSERT_EQ(first.code, 0);
  const std::string checkpoint = read_bytes(path("o/checkpoints/ce.seed0.safetensors"));
  const Outcome again = run({"compare", "--resume", "o"});
  EXPECT_EQ(again.code, 0) << again;
  EXPECT_EQ(again.out, first.out);
  EXPECT_EQ(read_bytes(path("o/checkpoints/ce.seed0.safetensors")), checkpoint);
}

TEST_F(Resume, RefusesOtherOptionsAndOtherData) {
  ASSERT_EQ(run(compare({"--epochs", "1", "--out", "o", "--quiet"})).code, 0);
  EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--epochs", "3"}), 2, {"--epochs", "--config o/config.toml"}));
  EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--out", "p"}), 2, {"--out"}));
  const std::string test_images = read_bytes(path("root/mnist/t10k-images-idx3-ubyte"));
  std::string other_images = test_images;
  other_images.back() ^= 1;
  write_bytes(path("root/mnist/t10k-images-idx3-ubyte"), other_images);
  for (const auto& command : {std::vector<std::string>{"compare", "--resume", "o", "--quiet"}, {"eval", "--run", "o"}})
    EXPECT_TRUE(complains(run(command), 3, {"the data of 'o' have changed"}));
  write_mnist(path("root"), 31);
  EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--quiet"}), 3, {"the data of 'o' have changed"}));
}

TEST_F(Resume, DamagedCheckpointsAreNamed) {
  const std::string name = "o/checkpoints/elm-lambda-0.5-drw.seed0.safetensors";
  stop_at("checkpoints/elm-lambda-0.5-drw.seed0.safetensors", SIGINT, "o");
  const std::string good = read_bytes(path(name));
  std::string header = good;
  header.replace(0, 8, "\xff\xff\xff\xff\xff\xff\xff\x7f");
  std::string garbage = good;
  garbage.replace(8, 20, "####################");
  const auto renamed = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    const std::size_t at = bytes.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return bytes.replace(at, from.size(), to);
  };
  std::vector<std::string> damaged = {good.substr(0, 5),
                                      good.substr(0, good.size() / 2),
                                      header,
                                      garbage,
                                      renamed("[10,64]", "[64,10]"),
                                      renamed("\\\"classes\\\":10", "\\\"classes\\\":11"),
                                      renamed("\\\"model\\\":\\\"conv3", "\\\"model\\\":\\\"conv4"),
                                      renamed("\\\"loss\\\":\\\"elm", "\\\"loss\\\":\\\"elk"),
                                      renamed("\\\"epochs_done\\\":", "\\\"epochs_gone\\\":")};
  for (std::size_t i = 0; i < damaged.size(); ++i) {
    write_bytes(path(name), damaged[i]);
    // Both commands read the whole file; the first compares its content with the run, the second with the data.
    for (const Arguments& use : {Arguments{"compare", "--resume", "o", "--quiet"}, Arguments{"eval", "--run", "o"}})
      EXPECT_TRUE(complains(run(use), 3, {name})) << "damage " << i;
  }
}

TEST_F(Resume, DamagedRunFilesAreNamed) {
  ASSERT_EQ(run(compare({"--epochs", "1", "--out", "o", "--quiet"})).code, 0);
  for (const char* file : {"o/split.json", "o/results/ce.seed0.json", "o/config.toml"}) {
    const std::string good = read_bytes(path(file));
    write_bytes(path(file),
                file == std::string("o/config.toml") ? "epochs = \"many\"\n" : good.substr(0, good.size() / 2));
    EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--quiet"}), 3, {file})) << file;
    write_bytes(path(file), good);
  }
}

}  // namespace
}  // namespace ulmus::cli_test
