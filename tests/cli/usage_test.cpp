// Every mistake on the command line: exit code 2, one line, nothing on standard output, no files left on disk.

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class Usage : public CliTest {
 protected:
  struct Case {
    Arguments arguments;
    std::vector<std::string> says;
  };

  void expect_refused(const std::vector<Case>& cases) const {
    const auto before = contents();
    for (const Case& c : cases)
      EXPECT_TRUE(complains(run(c.arguments), 2, c.says)) << ::testing::PrintToString(c.arguments);
    EXPECT_EQ(contents(), before);
  }
};

TEST_F(Usage, UnknownCommandsAndOptionsAreNamedWithTheNearest) {
  expect_refused({{{"compar"}, {"'compar'", "did you mean 'compare'"}},
                  {{"xyzzy"}, {"'xyzzy'", "choose one of compare, train"}},
                  {{"-x"}, {"'-x'", "--help"}},
                  {{"--config", "x", "compare"}, {"'--config'"}},
                  {compare({"--epohcs", "3"}), {"'--epohcs'", "did you mean '--epochs'"}},
                  {compare({"--jsno"}), {"'--jsno'", "did you mean '--json'"}},
                  {compare({"stray"}), {"'stray'", "options begin with --"}},
                  {{"inspect", "--dta", "x"}, {"'--dta'", "did you mean '--data'"}},
                  {{"eval", "--rnu", "x"}, {"'--rnu'", "did you mean '--run'"}},
                  {{"report", "a", "b"}, {"'b'"}},
                  {{"losses", "elmm"}, {"'elmm'", "did you mean 'elm'"}}});
}

TEST_F(Usage, WhatIsMissingIsNamed) {
  expect_refused({{{"compare"}, {"--data fashion-mnist"}},
                  {{"train", "--out", "o"}, {"--data fashion-mnist"}},
                  {{"eval"}, {"--run is required", "ulmus eval --help"}},
                  {{"inspect"}, {"--data is required"}},
                  {{"report"}, {"run is required"}},
                  {compare({"--epochs"}), {"--epochs"}},
                  {{"compare", "--config"}, {"--config needs a file"}},
                  {compare({"--out", ""}), {"--out is empty"}},
                  {{"train", "--resume", ""}, {"--resume is empty"}}});
}

TEST_F(Usage, UnknownNamesInValuesAreNamedWithTheNearest) {
  expect_refused({{compare({"--losses", "elmm"}), {"'elmm'", "did you mean 'elm'"}},
                  {compare({"--losses", "elm:lamda=1"}), {"'lamda'", "did you mean 'lambda'"}},
                  {compare({"--losses", "ce+drv"}), {"'drv'", "did you mean 'drw'"}},
                  {compare({"--losses", "elm:lambda=x"}), {"lambda", "'x'", "number"}},
                  {compare({"--losses", "ce,ce"}), {"twice"}},
                  {compare({"--losses", ""}), {"empty"}},
                  {compare({"--model", "resnet23"}), {"'resnet23'", "did you mean 'resnet20'"}},
                  {compare({"--optimizer", "adam"}), {"'adam'", "did you mean 'adamw'"}},
                  {compare({"--freeze", "backbon"}), {"'backbon'", "did you mean 'backbone'"}},
                  {compare({"--device", "cudda"}), {"'cudda'", "did you mean 'cuda'"}},
                  {compare({"--autocast", "bf61"}), {"'bf61'", "did you mean 'bf16'"}},
                  {compare({"--head", "cosin"}), {"'cosin'", "did you mean 'cosine'"}},
                  {compare({"--schedule", "cosin"}), {"'cosin'", "did you mean 'cosine'"}},
                  {compare({"--reduction", "weighted-maen"}), {"did you mean 'weighted-mean'"}},
                  {compare({"--augment", "flp"}), {"did you mean 'flip'"}},
                  {compare({"--imbalance", "exq:10"}), {"'exq:10'", "did you mean 'exp'"}},
                  {compare({"--data", "minst"}), {"'minst'", "did you mean 'mnist'"}},
                  {compare({"--data", "root"}), {"folder:root"}},
                  {{"train", "--data", "mnist", "--loss", "ce,elm"}, {"one loss", "ulmus compare"}}});
}

TEST_F(Usage, AHeadThatCannotWorkIsRefusedWithTheReason) {
  expect_refused({{compare({"--losses", "elm", "--head", "linear"}), {"'elm'", "cosine units", "cosine head"}},
                  {compare({"--losses", "ce", "--head", "cosine"}), {"'ce'", "scale 1", "ce:scale=30"}}});
}

TEST_F(Usage, AnOptionThatCannotApplyIsRefusedWithTheReason) {
  expect_refused(
      {{compare({"--optimizer", "adamw", "--momentum", "0.8"}), {"--momentum 0.8", "adamw has none"}},
       {compare({"--freeze", "backbone"}), {"random weights", "--weights"}},
       {compare({"--freeze", "backbone", "--model", "linear"}), {"'linear' is a head alone"}},
       {compare({"--weights", "w.safetensors", "--model", "torchscript:b.pt"}), {"brings its own weights"}}});
}

TEST_F(Usage, ADeviceThatIsNotThereComesWithThoseThatAre) {
  EXPECT_TRUE(complains(run(compare({"--device", "cuda:99"})), 5, {"cuda:99", "LibTorch", "cpu"}));
}

TEST_F(Usage, AModelFileThatIsNoneIsADataError) {
  write_bytes(path("b.pt"), "no archive");
  write_bytes(path("w.safetensors"), "no header");
  EXPECT_TRUE(complains(run(compare({"--model", "torchscript:b.pt"})), 3, {"'b.pt' is not a TorchScript module"}));
  EXPECT_TRUE(complains(run(compare({"--model", "torchscript:c.pt"})), 3, {"'c.pt'", "no such file"}));
  EXPECT_TRUE(complains(run(compare({"--weights", "w.safetensors"})), 3, {"'w.safetensors'"}));
  EXPECT_TRUE(complains(run(compare({"--weights", "none.safetensors"})), 3, {"'none.safetensors'"}));
}

TEST_F(Usage, EveryNumberIsCheckedForItsKindAndItsRange) {
  std::vector<Case> cases;
  const std::vector<std::pair<std::string, std::vector<std::string>>> ranges = {
      {"seeds", {"0"}},           {"seed", {"-1"}},
      {"split-seed", {"-1"}},     {"validation", {"-1", "30"}},
      {"test-fraction", {"1"}},   {"image-size", {"-1"}},
      {"epochs", {"-1"}},         {"batch-size", {"1", "9223372036854775807"}},
      {"lr", {"-1", "inf"}},      {"momentum", {"nan"}},
      {"weight-decay", {"-2"}},   {"warmup", {"1"}},
      {"clip", {"-1"}},           {"ema", {"1"}},
      {"jobs", {"-1"}},           {"threads", {"1000000"}},
      {"loader-threads", {"-1"}}, {"image-bits", {"-1", "7", "17"}},
      {"max-pixels", {"0"}}};
  for (const auto& [option, values] : ranges) {
    cases.push_back({compare({"--" + option, "abc", "--out", "o"}), {"--" + option, "'abc'", "number"}});
    for (const std::string& value : values) cases.push_back({compare({"--" + option, value, "--out", "o"}), {}});
  }
  cases.push_back(
      {{"inspect", "--data", "mnist", "--data-root", "root", "--image-size", "-4"}, {"--image-size", "-4"}});
  cases.push_back({compare({"--imbalance", "exp:0.5"}), {"'exp:0.5'", "below 1"}});
  cases.push_back({compare({"--imbalance", "exp:"}), {"needs the ratio"}});
  cases.push_back({compare({"--test-fraction", "0.3"}), {"--test-fraction", "test part"}});
  cases.push_back({compare({"--image-size", "16"}), {"--image-size", "image files"}});
  cases.push_back({compare({"--image-bits", "12"}), {"--image-bits", "no image files"}});
  expect_refused(cases);
}

TEST_F(Usage, ARatioThatEmptiesAClassComesWithOneThatWorks) {
  const Outcome refused = run(compare({"--imbalance", "exp:1000", "--out", "o"}));
  const std::string hint = "the largest ratio that works is exp:";
  ASSERT_TRUE(complains(refused, 2, {"class '", hint}));
  const std::string ratio = refused.err.substr(refused.err.find(hint) + hint.size());
  const std::string works = ratio.substr(0, ratio.find('\n'));
  EXPECT_EQ(run(compare({"--imbalance", "exp:" + works, "--dry-run"})).code, 0);
  EXPECT_EQ(run(compare({"--imbalance", "exp:" + std::to_string(std::stoi(works) + 1), "--dry-run"})).code, 2);
}

TEST_F(Usage, AnOutFolderThatIsTakenIsLeftAlone) {
  write_bytes(path("taken/notes.txt"), "mine");
  write_bytes(path("file"), "mine");
  write_bytes(path("run/config.toml"), "data = \"mnist\"\n");
  expect_refused({{compare({"--out", "taken"}), {"'taken'", "not an empty folder", "another --out"}},
                  {compare({"--out", "file"}), {"'file'", "another --out"}},
                  {compare({"--out", "run"}), {"already holds a run", "--resume run"}},
                  {compare({"--out", "run", "--dry-run"}), {"already holds a run"}}});
  EXPECT_EQ(read_bytes(path("taken/notes.txt")), "mine");
}

TEST_F(Usage, AnOutFolderThatCannotBeMadeIsAnEnvironmentError) {
  write_bytes(path("file"), "mine");
  const auto before = contents();
  for (const std::string& out : {std::string("file/x/y"), std::string("/proc/x/y"), std::string(300, 'a')}) {
    const Outcome outcome = run(compare({"--out", out, "--quiet"}));
    EXPECT_TRUE(complains(outcome, 5, {"cannot create folder", out}));
  }
  EXPECT_EQ(contents(), before);
}

TEST_F(Usage, AnErrorIsOneLineWhateverTheArgumentHolds) {
  EXPECT_TRUE(complains(run({"inspect", "--data", "a\nb\x1b[31mc"}), 2, {R"(a\x0ab\x1b[31mc)"}));
}

TEST_F(Usage, AConfigurationNamesWhatIsWrongInIt) {
  write_bytes(path("unknown.toml"), "epohcs = 3\n");
  write_bytes(path("table.toml"), "[training]\nepochs = 3\n");
  write_bytes(path("value.toml"), "epochs = \"many\"\n");
  expect_refused(
      {{{"compare", "--config", "unknown.toml"}, {"'unknown.toml', line 1", "'epohcs'", "did you mean 'epochs'"}},
       {{"compare", "--config", "value.toml"}, {"'value.toml', line 1", "epochs", "\"many\"", "whole number"}},
       {{"compare", "--config", "unknown.toml", "--config", "value.toml"}, {"--config comes twice"}},
       {{"train", "--resume", "x", "--config", "value.toml"}, {"--config cannot change"}},
       {{"eval", "--run", "x", "--config", "value.toml"}, {"no option '--config'"}}});
  EXPECT_TRUE(complains(run({"compare", "--config", "table.toml"}), 3, {"'table.toml', line 1", "epochs = 30"}));
  EXPECT_TRUE(complains(run({"compare", "--config", "missing.toml"}), 3, {"'missing.toml'"}));
}

}  // namespace
}  // namespace ulmus::cli_test
