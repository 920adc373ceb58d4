// A comparison end to end, and later uses of its folder.

#include <algorithm>
#include <regex>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

const std::vector<std::string> k_metrics = {"balanced_accuracy", "top1",        "macro_f1",
                                            "geometric_mean",    "many_shot",   "medium_shot",
                                            "few_shot",          "worst_class", "ece"};

class Run : public CliTest {
 protected:
  Outcome make_run(const Arguments& more = {}) const {
    Outcome outcome = run(compare(Arguments{"--out", "o"} + more));
    EXPECT_EQ(outcome.code, 0) << outcome;
    return outcome;
  }
};

TEST_F(Run, LeavesAWholeFolderAndATable) {
  const Outcome outcome = make_run({"--seeds", "2", "--seed", "4", "--validation", "1"});
  for (const char* file : {"config.toml", "split.json", "metrics.jsonl", "summary.json", "report.html", "log.txt",
                           "checkpoints/ce.seed4.safetensors", "checkpoints/elm-lambda-0.5-drw.seed5.safetensors",
                           "results/ce.seed5.json", "results/elm-lambda-0.5-drw.seed4.json"})
    EXPECT_GT(fs::file_size(path("o") / file), 0u) << file;
  for (const std::string& name : contents()) EXPECT_FALSE(has(name, ".tmp")) << name;
  EXPECT_EQ(std::ranges::count(read_bytes(path("o/metrics.jsonl")), '\n'), 2 * 2 * 3);

  const auto summary = read_json(path("o/summary.json"));
  EXPECT_EQ(summary.at("schema_version"), 1);
  EXPECT_EQ(summary.at("seeds"), (std::vector<int>{4, 5}));
  ASSERT_EQ(summary.at("results").size(), 2u);
  EXPECT_EQ(summary.at("results")[0].at("loss"), "ce");
  EXPECT_EQ(summary.at("results")[1].at("loss"), "elm:lambda=0.5+drw");
  EXPECT_EQ(summary.at("results")[1].at("loss_full"),
            "elm:lambda=0.5,max_margin=0.5,placement=true,scale=30,smoothing=0+drw:from=0.8,beta=0.9999");
  for (const auto& result : summary.at("results"))
    for (const char* part : {"train", "test", "validation"})
      for (const std::string& metric : k_metrics) {
        const auto& entry = result.at(part).at(metric);
        EXPECT_TRUE(entry.contains("mean") && entry.contains("interval")) << metric;
        EXPECT_EQ(entry.at("values").size(), 2u) << metric;
      }

  EXPECT_TRUE(has(outcome.out, "balanced")) << outcome;
  EXPECT_TRUE(has(outcome.out, "elm:lambda=0.5+drw")) << outcome;
  EXPECT_TRUE(has(outcome.out, "report: ")) << outcome;
}

TEST_F(Run, ShowsImagesUnlessToldNotTo) {
  make_run();
  const auto gallery = read_json(path("o/gallery.json"));
  EXPECT_EQ(gallery.at("baseline"), "ce");
  EXPECT_EQ(gallery.at("classes").size(), 10u);
  EXPECT_EQ(gallery.at("classes")[0].at("class"), 9) << "the rarest class comes first";
  for (const auto& samples : gallery.at("classes")) EXPECT_EQ(samples.at("images").size(), 3u);
  const auto predictions = read_json(path("o/results/ce.seed0.json")).at("predictions");
  ASSERT_EQ(predictions.at("classes").size(), 60u);
  // Six test images of each class, in the order of the classes or not: those that are right are the accuracy.
  const auto evaluation = read_json(path("o/results/ce.seed0.json")).at("test");
  std::vector<std::int64_t> predicted(10), counted(10);
  for (const auto& c : predictions.at("classes")) ++predicted[c.get<std::size_t>()];
  for (const auto& row : evaluation.at("confusion"))
    for (const auto& pair : row) counted[pair[0].get<std::size_t>()] += pair[1].get<std::int64_t>();
  EXPECT_EQ(predicted, counted);
  EXPECT_TRUE(has(read_bytes(path("o/report.html")), "data:image/jpeg;base64,"));

  ASSERT_EQ(run(compare({"--no-thumbnails", "--out", "q"})).code, 0);
  EXPECT_FALSE(fs::exists(path("q/gallery.json")));
  EXPECT_FALSE(has(read_bytes(path("q/report.html")), "data:image/jpeg"));
  EXPECT_FALSE(read_json(path("q/results/ce.seed0.json")).contains("predictions"));
}

TEST_F(Run, Learns) {
  make_run({"--epochs", "6"});
  for (const auto& result : read_json(path("o/summary.json")).at("results"))
    EXPECT_GT(result.at("test").at("top1").at("mean"), 0.5) << result.at("loss");
}

TEST_F(Run, WritesPlainLinesWhereThereIsNoTerminal) {
  const Outcome outcome = make_run();
  for (const std::string* text : {&outcome.out, &outcome.err}) {
    EXPECT_FALSE(has(*text, "\r"));
    EXPECT_FALSE(has(*text, "\x1b"));
  }
  EXPECT_TRUE(std::regex_search(
      outcome.err, std::regex("100 %  .* epoch 3/3, train loss [0-9.]+, test balanced accuracy [0-9.]+ %, 0 s left\n")))
      << outcome;
}

TEST_F(Run, ShowsABarWithTheRemainingTimeOnATerminal) {
  const Outcome outcome = ulmus(compare({"--out", "o"}), {.folder = place_.folder, .terminal = true});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(std::regex_search(outcome.err, std::regex("\r\x1b\\[K\\[#*\\.*\\] +[0-9]+ %  [0-9]+ s left"))) << outcome;
}

TEST_F(Run, PrintsExactlyOneJsonDocument) {
  const Outcome outcome = make_run({"--json"});
  EXPECT_EQ(nlohmann::json::parse(outcome.out), read_json(path("o/summary.json")));
}

TEST_F(Run, QuietIsQuiet) { EXPECT_TRUE(make_run({"--quiet"}).err.empty()); }

TEST_F(Run, DryRunShowsThePlanAndWritesNothing) {
  const auto before = contents();
  const Outcome text = run(compare({"--out", "o", "--dry-run"}));
  EXPECT_EQ(text.code, 0) << text;
  for (const char* part : {"10 classes", "conv3, 3 epochs", "elm:lambda=0.5+drw: cosine head", "2 losses x 1 seed",
                           "class weights from epoch 3 of 3", "would write o"})
    EXPECT_TRUE(has(text.out, part)) << part << "\n" << text;
  const Outcome as_json = run(compare({"--out", "o", "--dry-run", "--json"}));
  ASSERT_EQ(as_json.code, 0) << as_json;
  const auto plan = nlohmann::json::parse(as_json.out);
  EXPECT_EQ(plan.at("out"), "o");
  EXPECT_EQ(plan.at("members").size(), 2u);
  EXPECT_EQ(plan.at("options").at("epochs"), 3);
  EXPECT_EQ(contents(), before);
}

TEST_F(Run, TheSameCommandGivesTheSameBits) {
  make_run({"--augment", "crop", "--jobs", "1"});
  const auto expected = without_times(read_json(path("o/summary.json")).at("results"));
  for (const auto& [loader_threads, jobs] : {std::pair("0", "2"), std::pair("3", "1")}) {
    fs::remove_all(path("again"));
    const Outcome outcome = run(compare(
        {"--augment", "crop", "--out", "again", "--jobs", jobs, "--loader-threads", loader_threads, "--quiet"}));
    ASSERT_EQ(outcome.code, 0) << outcome;
    EXPECT_TRUE(same_run(path("o"), path("again")));
    EXPECT_EQ(without_times(read_json(path("again/summary.json")).at("results")), expected);
  }
}

TEST_F(Run, ItsConfigMakesItAgainAndAnOptionBesideItWins) {
  make_run({"--seed", "7"});
  ASSERT_EQ(run({"compare", "--config", "o/config.toml", "--out", "again", "--quiet"}).code, 0);
  EXPECT_TRUE(same_run(path("o"), path("again")));
  for (const Arguments& order : {Arguments{"--config", "o/config.toml", "--epochs", "2"},
                                 Arguments{"--epochs", "2", "--config=o/config.toml"}}) {
    const Outcome plan = run(Arguments{"compare"} + order + Arguments{"--dry-run", "--json"});
    ASSERT_EQ(plan.code, 0) << plan;
    EXPECT_EQ(nlohmann::json::parse(plan.out).at("options").at("epochs"), 2);
    EXPECT_EQ(nlohmann::json::parse(plan.out).at("options").at("seed"), 7);
  }
}

TEST_F(Run, ALossThatIsNotFiniteStopsItByName) {
  const auto before = contents();
  const Outcome outcome = run(compare({"--losses", "ce", "--lr", "1e30", "--seed", "3", "--out", "new/o"}));
  EXPECT_EQ(outcome.code, 4) << outcome;
  const std::string line = outcome.error_lines().back();
  for (const char* part : {"ulmus: the loss is", "step 2", "epoch 1", "ce", "seed 3", "--lr"})
    EXPECT_TRUE(has(line, part)) << part << "\n" << outcome;
  EXPECT_EQ(contents(), before);
}

TEST_F(Run, ARunGoesOnFromTheWeightsOfAnother) {
  const Arguments one = {"--losses", "ce", "--epochs", "4"};
  make_run(one);
  const std::string weights = "o/checkpoints/ce.seed0.safetensors";
  const double before = read_json(path("o/results/ce.seed0.json")).at("test").at("top1");
  const Outcome frozen =
      run(compare({"--losses", "ce,elm", "--weights", weights, "--freeze", "backbone", "--out", "p"}));
  ASSERT_EQ(frozen.code, 0) << frozen;
  EXPECT_TRUE(has(frozen.err, "weights from " + weights + ", backbone frozen")) << frozen;
  EXPECT_GE(read_json(path("p/results/ce.seed0.json")).at("test").at("top1").get<double>(), before - 0.05);
  // Each image passed through the backbone once, and a neighbouring run reuses its features.
  const auto files = [&](const char* folder) { return std::distance(fs::directory_iterator(path(folder)), {}); };
  EXPECT_EQ(files("p/features"), 2);
  const Outcome own_rate =
      run(compare({"--losses", "ce,elm+drw", "--weights", weights, "--freeze", "backbone", "--lr", "0", "--out", "q"}));
  ASSERT_EQ(own_rate.code, 0) << own_rate;
  EXPECT_TRUE(has(own_rate.err, "cosine schedule at the rate that suits the features")) << own_rate;
  EXPECT_FALSE(has(own_rate.err, "features of")) << own_rate;
  EXPECT_EQ(files("q/features"), 2);
  EXPECT_GE(read_json(path("q/results/ce.seed0.json")).at("test").at("top1").get<double>(), before - 0.05);
  const Outcome augmented =
      run(compare({"--losses", "ce", "--weights", weights, "--freeze", "backbone", "--augment", "crop", "--out", "r"}));
  ASSERT_EQ(augmented.code, 0) << augmented;
  EXPECT_FALSE(fs::exists(path("r/features")));
  const Outcome other = run(compare({"--model", "resnet20", "--weights", weights}));
  EXPECT_TRUE(
      complains(other, 3, {weights, "do not fit model 'resnet20'", "the first: 'layer1.0.conv1.weight' is missing"}));
}

TEST_F(Run, EveryWayToComputeLearns) {
  for (const Arguments& more : {Arguments{"--channels-last"},
                                {"--autocast", "bf16"},
                                {"--optimizer", "adamw", "--lr", "0.01"},
                                {"--ema", "0.99", "--clip", "5"},
                                {"--model", "mlp", "--optimizer", "adamw", "--lr", "0.003"},
                                {"--model", "linear", "--lr", "0.01"}}) {
    fs::remove_all(path("o"));
    make_run(Arguments{"--losses", "ce", "--epochs", "6"} + more);
    EXPECT_GT(read_json(path("o/results/ce.seed0.json")).at("test").at("top1"), 0.5) << more[1];
  }
}

TEST_F(Run, ATableHasDefaultsThatSuitIt) {
  std::string table = "a,b,label\n";
  for (int i = 0; i < 301; ++i) {  // 241 training rows: batches of 60 leave one row
    const int label = i % 3;
    table +=
        std::to_string(label + 0.01 * (i % 40)) + "," + std::to_string(i % 7) + ",c" + std::to_string(label) + "\n";
  }
  write_bytes(path("t.csv"), table);
  const Arguments command = {"compare", "--data", "csv:t.csv?label=label", "--losses", "ce,ldam",
                             "--seeds", "1",      "--batch-size",          "60",       "--threads",
                             "1"};
  const Outcome dry = run(command + Arguments{"--out", "o", "--dry-run", "--json"});
  ASSERT_EQ(dry.code, 0) << dry;
  const auto options = nlohmann::json::parse(dry.out).at("options");
  EXPECT_EQ(options.at("model"), "mlp");
  EXPECT_EQ(options.at("optimizer"), "adamw");
  EXPECT_EQ(options.at("lr"), 0.001);
  EXPECT_EQ(options.at("weight-decay"), 0.0001);
  EXPECT_EQ(options.at("epochs"), 200);
  ASSERT_EQ(run(command + Arguments{"--epochs", "30", "--out", "o"}).code, 0);
  for (const auto& result : read_json(path("o/summary.json")).at("results"))
    EXPECT_GT(result.at("test").at("top1").at("mean"), 0.9) << result.at("loss");
  EXPECT_TRUE(
      complains(run(command + Arguments{"--model", "resnet20", "--out", "p"}), 2, {"vectors of 2 features", "mlp"}));
  EXPECT_TRUE(complains(run(command + Arguments{"--channels-last", "--out", "p"}), 2, {"--channels-last"}));
}

TEST_F(Run, TrainTakesOneLossAndANumberedFolderByItself) {
  const Arguments train = {"train",    "--data", "mnist",        "--data-root", "root",      "--loss", "ldam",
                           "--epochs", "1",      "--batch-size", "60",          "--threads", "1",      "--quiet"};
  EXPECT_EQ(run(train).code, 0);
  EXPECT_EQ(run(train).code, 0);
  for (const char* folder : {"runs/train-1", "runs/train-2"}) {
    const auto results = read_json(path(folder) / "summary.json").at("results");
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].at("loss"), "ldam");
  }
}

TEST_F(Run, EvalFindsTheRecordedNumbersAgain) {
  make_run();
  const Outcome outcome = run({"eval", "--run", "o", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  const auto results = nlohmann::json::parse(outcome.out).at("results");
  ASSERT_EQ(results.size(), 2u);
  for (const auto& result : results) {
    const std::string stem = result.at("loss") == "ce" ? "ce" : "elm-lambda-0.5-drw";
    EXPECT_EQ(without_ranking(result.at("evaluation")),
              without_ranking(read_json(path("o/results/" + stem + ".seed0.json")).at("test")));
  }
  const Outcome one = run({"eval", "--run", "o", "--loss", "elm:lambda=0.5+drw", "--seed", "0", "--json"});
  ASSERT_EQ(one.code, 0) << one;
  EXPECT_EQ(nlohmann::json::parse(one.out).at("results").size(), 1u);
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--loss", "ldam"}), 2, {"ce seed 0", "elm:lambda=0.5+drw seed 0"}));
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--seed", "9"}), 2, {"ce seed 0"}));
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--seed", "-3"}), 2, {"-3"}));
}

TEST_F(Run, EvalJudgesOtherImagesOfTheSameClassesOnly) {
  write_image_folder(path("photos"), {"cat", "dog", "elk"}, 8);
  ASSERT_EQ(run({"train", "--data", "folder:photos", "--loss", "ce", "--model", "conv3", "--epochs", "1",
                 "--batch-size", "8", "--threads", "1", "--out", "o", "--quiet"})
                .code,
            0);
  const Outcome own = run({"eval", "--run", "o", "--json"});
  ASSERT_EQ(own.code, 0) << own;
  EXPECT_EQ(without_ranking(nlohmann::json::parse(own.out).at("results")[0].at("evaluation")),
            without_ranking(read_json(path("o/results/ce.seed0.json")).at("test")));

  write_image_folder(path("more"), {"cat", "dog", "elk"}, 4);
  const Outcome more = run({"eval", "--run", "o", "--data", "folder:more"});
  EXPECT_EQ(more.code, 0) << more;
  EXPECT_TRUE(has(more.out, " 12 ")) << more;

  write_image_folder(path("other"), {"cat", "dog", "yak"}, 4);
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--data", "folder:other"}), 3, {"yak", "elk"}));
  write_image_folder(path("large"), {"cat", "dog", "elk"}, 4, 20);
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--data", "folder:large"}), 3, {"3x20x20", "3x12x12"}));
  write_image(path("photos/cat/new.png"), 0, 50);
  EXPECT_TRUE(complains(run({"eval", "--run", "o"}), 3, {"have changed"}));
}

TEST_F(Run, WhatIsNoRunIsRefused) {
  fs::create_directory(path("empty"));
  for (const char* folder : {"empty", "nowhere", "root"}) {
    EXPECT_TRUE(complains(run({"eval", "--run", folder}), 3, {folder}));
    EXPECT_TRUE(complains(run({"report", folder}), 3, {folder}));
    EXPECT_TRUE(complains(run({"compare", "--resume", folder}), 3, {folder}));
  }
}

TEST_F(Run, ReportIsWrittenAnew) {
  const Outcome first = make_run();
  const std::string page = read_bytes(path("o/report.html"));
  fs::remove(path("o/report.html"));
  fs::remove(path("o/summary.json"));
  const Outcome again = run({"report", "o"});
  EXPECT_EQ(again.code, 0) << again;
  EXPECT_EQ(again.out, first.out);
  EXPECT_TRUE(again.err.empty()) << again;
  EXPECT_EQ(read_bytes(path("o/report.html")), page);
  const Outcome as_json = run({"report", "o", "--json"});
  EXPECT_EQ(nlohmann::json::parse(as_json.out), read_json(path("o/summary.json")));
}

}  // namespace
}  // namespace ulmus::cli_test
