// A run folder, a configuration or a checkpoint from an untrusted source.

#include "cli/script_file.hpp"
#include "cli/tiny_data.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::cli_test {
namespace {

/// A run `o` whose backbone is a TorchScript file that creates the file `written` whenever it runs.
class Trust : public CliTest {
 protected:
  Trust() {
    write_script(path("b.pt"), path("written"));
    const Outcome made = run(compare({"--losses", "ce", "--model", "torchscript:b.pt", "--validation", "2", "--epochs",
                                      "2", "--out", "o", "--quiet"}));
    EXPECT_EQ(made.code, 0) << made;
    EXPECT_TRUE(fs::exists(path("written"))) << "the script does what the tests are about";
    fs::remove(path("written"));
  }

  /// Every command that would run the model of the run.
  std::vector<Arguments> uses() const {
    return {{"eval", "--run", "o"},
            {"predict", "--run", "o", "photos"},
            {"predict", "--run", "o", "photos", "--temperature", "auto"},
            {"tune", "--run", "o", "--losses", "crt"},
            {"export", "--run", "o", "--format", "safetensors", "--out", "w.safetensors"},
            {"compare", "--resume", "o"},
            {"compare", "--resume", "o", "--dry-run"},
            {"compare", "--config", "o/config.toml", "--out", "q"},
            {"compare", "--config", "o/config.toml", "--dry-run"}};
  }
};

TEST_F(Trust, AScriptRunsOnlyWhenThePersonNamesIt) {
  write_image_folder(path("photos"), {"a"}, 3, 28);
  for (const Arguments& use : uses()) {
    const Outcome refused = run(use);
    EXPECT_TRUE(complains(refused, 2, {"torchscript:b.pt", "is code", "--trust-model"})) << use[0] << " " << use[1];
    EXPECT_FALSE(fs::exists(path("written"))) << use[0];
  }
  EXPECT_FALSE(fs::exists(path("q")));
  for (const Arguments& use : uses()) {
    const Outcome allowed = run(use + Arguments{"--trust-model", "b.pt"});
    EXPECT_EQ(allowed.code, 0) << use[0] << " " << allowed;
    EXPECT_TRUE(fs::remove(path("written"))) << use[0];
  }
}

TEST_F(Trust, TheScriptThatIsNamedIsTheOneThatTrained) {
  write_script(path("other.pt"), path("elsewhere"));
  const Outcome refused = run({"eval", "--run", "o", "--trust-model", "other.pt"});
  EXPECT_TRUE(complains(refused, 3, {"'other.pt' has SHA-256", "was trained with"}));
  EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--trust-model", "none.pt"}), 3, {"'none.pt'"}));
  EXPECT_FALSE(fs::exists(path("elsewhere")));
  fs::rename(path("b.pt"), path("moved.pt"));
  EXPECT_EQ(run({"eval", "--run", "o", "--trust-model", "moved.pt"}).code, 0);
}

TEST_F(Trust, WhatRunsNoModelNeedsNoTrust) {
  for (const Arguments& use :
       {Arguments{"report", "o"}, Arguments{"inspect", "--data", "mnist", "--data-root", "root"},
        compare({"--losses", "ce", "--weights", "o/checkpoints/ce.seed0.safetensors", "--dry-run"})}) {
    run(use);
    EXPECT_FALSE(fs::exists(path("written"))) << use[0];
  }
}

TEST_F(Trust, ItIsRefusedWhereThereIsNoScript) {
  EXPECT_TRUE(complains(run(compare({"--trust-model", "b.pt"})), 2, {"--trust-model cannot apply"}));
  ASSERT_EQ(run(compare({"--losses", "ce", "--epochs", "1", "--out", "p", "--quiet"})).code, 0);
  EXPECT_TRUE(complains(run({"eval", "--run", "p", "--trust-model", "b.pt"}), 2, {"--trust-model cannot apply"}));
}

/// A checkpoint's own metadata can also name a script, independent of config.toml.
TEST_F(Trust, ACheckpointMakesUsOpenNoScript) {
  ASSERT_EQ(run(compare({"--losses", "ce", "--epochs", "1", "--out", "p", "--quiet"})).code, 0);
  for (const auto& entry : fs::directory_iterator(path("o/checkpoints")))
    fs::copy_file(entry.path(), path("p/checkpoints") / entry.path().filename(), fs::copy_options::overwrite_existing);
  for (const Arguments& use :
       {Arguments{"eval", "--run", "p"}, Arguments{"export", "--run", "p", "--format", "safetensors", "--out", "w"},
        Arguments{"tune", "--run", "p", "--losses", "crt"}}) {
    EXPECT_EQ(run(use).code, 2) << use[0];
    EXPECT_FALSE(fs::exists(path("written"))) << use[0];
  }
  EXPECT_FALSE(has(run({"compare", "--resume", "p"}).err, "unexpected"));
  EXPECT_FALSE(fs::exists(path("written")));
}

}  // namespace
}  // namespace ulmus::cli_test
