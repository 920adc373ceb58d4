// Runs with a frozen backbone: it is stored once, and their checkpoints hold heads.

#include <csignal>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

using nlohmann::json;

/// The folder `photos`, the run `first` on it, whose weights are those that others begin with, and `p`, heads on its
/// backbone.
class FrozenBackbone : public CliTest {
 protected:
  FrozenBackbone() {
    write_image_folder(path("photos"), {"cat", "dog", "elk"}, 12);
    need(photos({"--losses", "ce", "--out", "first"}));
    need(heads("p"));
  }

  Outcome need(const Arguments& arguments) const {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome;
    return outcome;
  }
  Arguments photos(const Arguments& more) const {
    return Arguments{"compare",      "--data", "folder:photos", "--model", "conv3",   "--epochs", "3",
                     "--batch-size", "9",      "--threads",     "1",       "--quiet", "--seeds",  "1"} +
           more;
  }
  Arguments heads(const std::string& out, const Arguments& more = {}) const {
    return photos(Arguments{"--losses", "ce,ldam", "--weights", k_weights, "--freeze", "backbone", "--validation", "2",
                            "--out", out} +
                  more);
  }
  std::vector<std::string> tensors_in(const std::string& file) const {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : weights_of(path(file))) names.push_back(name);
    return names;
  }

  const std::string k_weights = "first/checkpoints/ce.seed0.safetensors";
};

TEST_F(FrozenBackbone, IsStoredOnceAndCheckpointsHoldHeads) {
  EXPECT_EQ(tensors_in("p/checkpoints/ce.seed0.safetensors"), (std::vector<std::string>{"fc.bias", "fc.weight"}));
  EXPECT_EQ(tensors_in("p/checkpoints/ldam.seed0.safetensors"), (std::vector<std::string>{"fc.weight"}));
  auto whole = weights_of(path(k_weights));
  std::erase_if(whole, [](const auto& tensor) { return tensor.first.starts_with("fc."); });
  EXPECT_EQ(weights_of(path("p/backbone.safetensors")), whole);
  EXPECT_FALSE(fs::exists(path("first/backbone.safetensors")));
  need(heads("fine", {"--losses", "ce", "--unfreeze", "1"}));
  EXPECT_FALSE(fs::exists(path("fine/backbone.safetensors")));
  EXPECT_EQ(tensors_in("fine/checkpoints/ce.seed0.safetensors"), tensors_in(k_weights));
}

TEST_F(FrozenBackbone, ARunThatWasCopiedNeedsNoOtherFile) {
  const Arguments eval = {"eval", "--loss", "ce", "--json", "--run"};
  const Arguments predict = {"predict", "photos/cat", "--loss", "ce", "--run"};
  const std::string evaluated = need(eval + Arguments{"p"}).out, predicted = need(predict + Arguments{"p"}).out;
  fs::remove_all(path("first"));
  fs::create_directory(path("away"));
  fs::rename(path("p"), path("away/q"));
  EXPECT_EQ(json::parse(need(eval + Arguments{"away/q"}).out).at("results"), json::parse(evaluated).at("results"));
  EXPECT_EQ(need(predict + Arguments{"away/q"}).out, predicted);
  for (const char* format : {"safetensors", "torchscript"})
    need({"export", "--run", "away/q", "--loss", "ce", "--format", format, "--out", format});
  auto exported = weights_of(path("safetensors"));
  std::erase_if(exported, [](const auto& tensor) { return tensor.first.starts_with("fc."); });
  EXPECT_EQ(exported, weights_of(path("away/q/backbone.safetensors")));
  need({"tune", "--run", "away/q", "--loss", "ce", "--losses", "bs,la:tau=2", "--jobs", "1", "--apply"});
  for (const auto& file : fs::directory_iterator(path("away/q/checkpoints")))
    EXPECT_LT(weights_of(file.path()).size(), 3u) << file.path();
  need({"eval", "--run", "away/q"});
  // Another run may begin with a checkpoint that shares its backbone.
  need(photos({"--losses", "ce", "--weights", "away/q/checkpoints/ce.seed0.safetensors", "--freeze", "backbone",
               "--out", "r"}));
  EXPECT_EQ(weights_of(path("r/backbone.safetensors")), weights_of(path("away/q/backbone.safetensors")));
}

TEST_F(FrozenBackbone, ThatIsMissingOrAlteredIsNamed) {
  const std::string whole = read_bytes(path("p/backbone.safetensors"));
  std::string altered = whole;
  altered[altered.size() - 6] ^= 1;
  write_bytes(path("p/backbone.safetensors"), altered);
  for (const Arguments& command : {Arguments{"eval", "--run", "p"},
                                   {"predict", "--run", "p", "photos"},
                                   {"export", "--run", "p", "--loss", "ce", "--format", "safetensors", "--out", "e"},
                                   {"compare", "--data", "folder:photos", "--losses", "ce", "--model", "conv3", "--out",
                                    "r", "--quiet", "--weights", "p/checkpoints/ce.seed0.safetensors"}})
    EXPECT_TRUE(complains(run(command), 3, {"p/backbone.safetensors' has SHA-256", "restore the file"}));
  fs::remove(path("p/backbone.safetensors"));
  EXPECT_TRUE(complains(run({"eval", "--run", "p"}), 3, {"holds only a head", "p/backbone.safetensors", "copy"}));
  write_bytes(path("p/backbone.safetensors"), whole);
  EXPECT_EQ(run({"eval", "--run", "p"}).code, 0);
}

TEST_F(FrozenBackbone, AnInterruptedRunGoesOnToTheSameBitsWithTheSameWeights) {
  const Arguments more = {"--losses", "ce", "--augment",        "crop", "--ema", "0.9",
                          "--epochs", "60", "--loader-threads", "0"};
  Process process(heads("o", more), place_);
  ASSERT_TRUE(appears(path("o/checkpoints/ce.seed0.safetensors")));
  process.signal(SIGINT);
  const Outcome stopped = process.wait();
  if (stopped.code == 0) GTEST_SKIP() << "it was done before the signal came";
  EXPECT_EQ(stopped.code, 130) << stopped;
  const std::string weights = read_bytes(path(k_weights));
  std::string others = weights;
  others[others.size() / 2] ^= 1;  // of conv3.weight
  write_bytes(path(k_weights), others);
  EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--quiet"}), 3,
                        {"o/backbone.safetensors", "the backbone that this run begins with", "start a new run"}));
  write_bytes(path(k_weights), weights);
  need({"compare", "--resume", "o", "--quiet"});
  need(heads("whole", more));
  EXPECT_TRUE(same_run(path("whole"), path("o")));
}

}  // namespace
}  // namespace ulmus::cli_test
