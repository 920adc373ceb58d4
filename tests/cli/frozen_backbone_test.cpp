// Runs with a frozen backbone: it is stored once, and their checkpoints hold heads.

#include <cmath>
#include <csignal>
#include <sstream>

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

/// The numbers of each epoch of a run.
std::vector<json> epochs_in(const fs::path& run) {
  std::istringstream lines(read_bytes(run / "metrics.jsonl"));
  std::vector<json> epochs;
  for (std::string line; std::getline(lines, line);) epochs.push_back(json::parse(line));
  return epochs;
}

/// Compares train_loss and the test accuracy of every epoch.
::testing::AssertionResult same_epochs(const fs::path& first, const fs::path& second, double tolerance) {
  const auto a = epochs_in(first), b = epochs_in(second);
  if (a.empty() || a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " and " << b.size();
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::abs(a[i].at("train_loss").get<double>() - b[i].at("train_loss").get<double>()) > tolerance ||
        a[i].at("test") != b[i].at("test"))
      return ::testing::AssertionFailure() << a[i] << "\n" << b[i];
  return ::testing::AssertionSuccess();
}

TEST_F(FrozenBackbone, AViewForEachEpochIsTheSameTrainingAsThroughTheBackbone) {
  const Arguments shared = {"--losses", "ce",   "--augment", "crop+flip", "--seed",     "4",
                            "--lr",     "0.05", "--epochs",  "4",         "--schedule", "cosine"};
  need(heads("views", shared + Arguments{"--views", "4"}));
  need(heads("images", shared));
  EXPECT_TRUE(same_epochs(path("views"), path("images"), 1e-5));
  need(heads("two", shared + Arguments{"--views", "2"}));
  EXPECT_FALSE(same_epochs(path("two"), path("images"), 1e-5));
  const auto two = epochs_in(path("two")), four = epochs_in(path("views"));
  EXPECT_EQ(two[1].at("train_loss"), four[1].at("train_loss"));
}

TEST_F(FrozenBackbone, FeaturesAsFloat16TrainTheSameHead) {
  need(heads("half", {"--losses", "ce", "--feature-precision", "f16"}));
  need(heads("full", {"--losses", "ce"}));
  EXPECT_TRUE(same_epochs(path("half"), path("full"), 1e-3));
  EXPECT_FALSE(same_epochs(path("half"), path("full"), 0));
  EXPECT_TRUE(complains(run(heads("r", {"--feature-precision", "f8"})), 2, {"--feature-precision 'f8'", "f16"}));
  EXPECT_TRUE(complains(run(photos({"--losses", "ce", "--feature-precision", "f16", "--out", "r"})), 2,
                        {"--feature-precision f16 cannot apply", "stores no features"}));
}

TEST_F(FrozenBackbone, ViewsThatCannotApplyAreRefused) {
  const auto refuses = [&](const Arguments& more, const std::vector<std::string>& with) {
    return complains(run(heads("r", Arguments{"--views", "2"} + more)), 2, with);
  };
  EXPECT_TRUE(refuses({"--freeze", "none"}, {"--views 2 cannot apply", "--freeze backbone"}));
  EXPECT_TRUE(refuses({}, {"--views 2 cannot apply", "one view", "--augment crop-flip"}));
  EXPECT_TRUE(refuses({"--augment", "mixup"}, {"--views 2 cannot apply", "--augment mixup", "batch"}));
  EXPECT_TRUE(refuses({"--augment", "crop", "--epochs", "1"}, {"--views 2 cannot apply", "at most 1"}));
  EXPECT_TRUE(refuses({"--views", "1001"}, {"--views is 1001, expected 1 to 1000"}));
  write_bytes(path("t.csv"), "a,label\n1,x\n2,y\n3,x\n4,y\n1,x\n2,y\n3,x\n4,y\n");
  const Arguments table = {"train", "--data", "csv:t.csv?label=label", "--loss", "ce", "--views", "2", "--out", "r"};
  EXPECT_TRUE(complains(run(table), 2, {"--views 2 cannot apply", "the data are features"}));
  EXPECT_TRUE(complains(run(table + Arguments{"--model", "trees"}), 2, {"--views cannot apply to trees"}));
  EXPECT_FALSE(fs::exists(path("r")));
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
