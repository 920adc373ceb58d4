// Commands that use a trained run: eval with adjustments, predict, export.

#include <cmath>
#include <map>
#include <stdexcept>

#include "cli/tiny_data.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::cli_test {
namespace {

using nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines = split(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

/// Fields of a line without quotes.
std::vector<std::string> fields_of(const std::string& line) { return split(line, ','); }

/// A row of a table of two numbers and three classes.
std::string table_row(int i) {
  return std::to_string(i % 7) + "," + std::to_string(i * i % 11) + ",c" + std::to_string(i % 3) + "\n";
}

class Apply : public CliTest {
 protected:
  /// Runs a command that the rest of a test depends on.
  Outcome need(const Arguments& arguments) const {
    Outcome outcome = run(arguments);
    if (outcome.code != 0) throw std::runtime_error(outcome.err);
    return outcome;
  }

  /// Ten classes of `mnist`, long-tailed, with a validation part.
  void train(const Arguments& more = {}) const {
    need(compare(Arguments{"--validation", "2", "--out", "o", "--quiet"} + more));
  }

  /// Three classes of image files of 12 x 12, one loss.
  void train_photos(const Arguments& more = {}) const {
    write_image_folder(path("photos"), {"big, \"bad\" cat", "dog", "elk"}, 12);
    need(Arguments{"train", "--data", "folder:photos", "--loss", "ce", "--model", "conv3", "--epochs", "6",
                   "--batch-size", "9", "--threads", "1", "--out", "p", "--quiet"} +
         more);
  }

  json eval(const Arguments& more) const {
    return json::parse(need(Arguments{"eval", "--run", "o", "--json"} + more).out).at("results");
  }
};

TEST_F(Apply, EvalHasTheMetricsOfRanking) {
  std::string table = "a,b,label\n";
  for (int i = 0; i < 90; ++i)
    table += std::to_string(i % 7) + "," + std::to_string(i % 10) + "," + (i % 10 > 7 ? "rare" : "fine") + "\n";
  write_bytes(path("two.csv"), table);
  need({"train", "--data", "csv:two.csv?label=label", "--loss", "ce", "--model", "linear", "--epochs", "3", "--threads",
        "1", "--out", "o", "--quiet"});
  EXPECT_TRUE(has(need({"eval", "--run", "o"}).out, "MCC  average precision  ROC AUC  Brier"));
  const json two = eval({})[0].at("evaluation");
  EXPECT_EQ(two.at("average_precision"), two.at("classes")[1].at("average_precision"));
  EXPECT_GE(two.at("roc_auc"), 0);
  EXPECT_TRUE(has(read_bytes(path("o/report.html")), "Average precision"));

  need(compare({"--losses", "ce", "--out", "many", "--quiet"}));
  const json many = json::parse(need({"eval", "--run", "many", "--json"}).out).at("results")[0].at("evaluation");
  double sum = 0;
  for (const json& of_class : many.at("classes")) sum += of_class.at("roc_auc").get<double>();
  EXPECT_NEAR(many.at("roc_auc"), sum / 10, 1e-9);
  EXPECT_FALSE(has(need({"eval", "--run", "many"}).out, "MCC"));
  EXPECT_FALSE(has(read_bytes(path("many/report.html")), "Average precision"));
}

TEST_F(Apply, PosthocZeroChangesNothingAndOneDoes) {
  train({"--losses", "ce", "--imbalance", "exp:10"});
  const json plain = eval({});
  EXPECT_EQ(eval({"--posthoc", "none"}), plain);
  EXPECT_EQ(eval({"--posthoc", "la:tau=0"})[0].at("evaluation").at("confusion"),
            plain[0].at("evaluation").at("confusion"));
  const json la = eval({"--posthoc", "la:tau=1"}), more = eval({"--posthoc", "la:tau=8"});
  EXPECT_NE(la[0].at("evaluation").at("nll"), plain[0].at("evaluation").at("nll"));
  // With a strong adjustment only rare classes are predicted, and none of the largest.
  EXPECT_EQ(more[0].at("evaluation").at("classes")[0].at("recall"), 0);
  for (const char* posthoc : {"mla:tau=0.65", "tau-norm:tau=1"})
    EXPECT_NE(eval({"--posthoc", posthoc})[0].at("evaluation").at("nll"), plain[0].at("evaluation").at("nll"))
        << posthoc;
}

TEST_F(Apply, APriorCorrectsTheProbabilitiesAndWeighsTheAccuracy) {
  train({"--losses", "ce,bs", "--imbalance", "exp:10"});
  const json uniform = eval({"--prior", "uniform"}), la = eval({"--posthoc", "la:tau=1"}), plain = eval({});
  for (const json& result : uniform) {
    const bool ce = result.at("loss") == "ce";
    const json& prior = result.at("prior");
    EXPECT_NEAR(prior.at("test")[0].get<double>(), 0.1, 1e-12);
    EXPECT_EQ(prior.at("assumed")[0].get<double>() > 0.11, ce);
    EXPECT_NEAR(prior.at("accuracy").get<double>(), result.at("evaluation").at("balanced_accuracy").get<double>(),
                1e-9);
    const std::size_t i = ce ? 1 : 0;  // bs comes before ce: order of the file names
    const json& same = ce ? la[i] : plain[i];
    ASSERT_EQ(same.at("loss"), result.at("loss"));
    EXPECT_NEAR(result.at("evaluation").at("nll").get<double>(), same.at("evaluation").at("nll").get<double>(), 1e-6);
  }
  write_bytes(path("q.txt"), "20\n1\n1\n1\n1\n1\n1\n1\n1\n1\n");
  EXPECT_EQ(eval({"--prior", "q.txt"}), eval({"--prior", "20,1,1,1,1,1,1,1,1,1"}));
  const Outcome table = run({"eval", "--run", "o", "--prior", "train", "--temperature", "1.5"});
  EXPECT_EQ(table.code, 0) << table;
  for (const char* column : {"under prior", "temperature", "NLL before"}) EXPECT_TRUE(has(table.out, column)) << table;

  const auto refused = [&](const Arguments& more, int code, const std::vector<std::string>& with) {
    EXPECT_TRUE(complains(run(Arguments{"eval", "--run", "o"} + more), code, with));
  };
  refused({"--prior", "0.5,0.5"}, 2, {"2 numbers", "10 classes"});
  refused({"--prior", "nowhere.txt"}, 2, {"nowhere.txt", "uniform"});
  refused({"--prior", "uniform", "--posthoc", "mla"}, 2, {"mla:tau=0.65", "--prior"});
  refused({"--prior", ""}, 2, {"--prior", "empty"});
  refused({"--posthoc", "laa"}, 2, {"laa", "did you mean 'la'"});
  refused({"--temperature", "0"}, 2, {"--temperature"});
  refused({"--temperature", "hot"}, 2, {"hot"});
  write_bytes(path("bad.txt"), "1\n2\n");
  refused({"--prior", "bad.txt"}, 3, {"bad.txt", "2 numbers"});
}

TEST_F(Apply, TauNormNeedsALinearHead) {
  train();
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--posthoc", "tau-norm"}), 2, {"elm", "cosine", "tau-norm"}));
  EXPECT_EQ(run({"eval", "--run", "o", "--posthoc", "tau-norm", "--loss", "ce"}).code, 0);
}

TEST_F(Apply, TheFittedTemperatureIsTheBestOnTheValidationPart) {
  train({"--losses", "ce"});
  const json results = eval({"--temperature", "auto"});
  const json& temperature = results[0].at("temperature");
  const double t = temperature.at("value");
  EXPECT_TRUE(temperature.at("fitted"));
  EXPECT_GT(t, 0.01);
  EXPECT_EQ(results[0].at("evaluation").at("nll"), temperature.at("nll"));
  EXPECT_EQ(results[0].at("evaluation").at("top1"), eval({})[0].at("evaluation").at("top1"));
  EXPECT_NEAR(temperature.at("nll_before").get<double>(), eval({})[0].at("evaluation").at("nll").get<double>(), 1e-12);
  const json set = eval({"--temperature", format_number(t)});
  EXPECT_FALSE(set[0].at("temperature").at("fitted"));
  EXPECT_EQ(set[0].at("evaluation"), results[0].at("evaluation"));

  ASSERT_EQ(run(compare({"--losses", "ce", "--epochs", "1", "--out", "bare", "--quiet"})).code, 0);
  EXPECT_TRUE(
      complains(run({"eval", "--run", "bare", "--temperature", "auto"}), 2, {"validation part", "--validation"}));
}

TEST_F(Apply, EvalWritesEveryPrediction) {
  train({"--losses", "ce"});
  ASSERT_EQ(run({"eval", "--run", "o", "--predictions", "all.csv"}).code, 0);
  ASSERT_EQ(run({"eval", "--run", "o", "--predictions", "all.jsonl"}).code, 0);
  const auto lines = lines_of(read_bytes(path("all.csv")));
  const auto objects = lines_of(read_bytes(path("all.jsonl")));
  ASSERT_EQ(lines.size(), 61u);
  ASSERT_EQ(objects.size(), 60u);
  EXPECT_TRUE(lines[0].starts_with("loss,seed,sample,true,predicted,probability,p(")) << lines[0];
  std::int64_t right = 0;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto fields = fields_of(lines[i]);
    ASSERT_EQ(fields.size(), 16u);
    right += fields[3] == fields[4];
    double sum = 0;
    for (std::size_t j = 6; j < 16; ++j) sum += std::stod(fields[j]);
    EXPECT_NEAR(sum, 1, 1e-4);
    const json object = json::parse(objects[i - 1]);
    EXPECT_EQ(object.at("sample"), i - 1);
    EXPECT_EQ(object.at("predicted"), fields[4]);
  }
  EXPECT_NEAR(static_cast<double>(right) / 60, eval({})[0].at("evaluation").at("top1").get<double>(), 1e-12);
  EXPECT_TRUE(complains(run({"eval", "--run", "o", "--predictions", "no/such/folder.csv"}), 5, {"no/such/folder.csv"}));
}

TEST_F(Apply, PredictTakesTablesWithoutLabels) {
  std::string table = "a,b,label\n", rows = "id,b,a\n";
  for (int i = 0; i < 60; ++i) {
    const std::string a = std::to_string(i % 3), b = i % 2 == 0 ? "even" : "odd";
    table += a + "," + b + ",c" + a + "\n";
    rows += std::to_string(i) + "," + b + "," + a + "\n";
  }
  write_bytes(path("t.csv"), table);
  write_bytes(path("new.csv"), rows);
  need({"train", "--data", "csv:t.csv?label=label", "--loss", "ce", "--epochs", "2", "--threads", "1", "--out", "t",
        "--quiet"});
  const Outcome outcome = run({"predict", "--run", "t", "new.csv", "--format", "jsonl"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.err, "60 rows predicted by ce seed 0")) << outcome;
  const auto lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 60u);
  EXPECT_EQ(json::parse(lines[7]).at("row"), 7);
  need({"predict", "--run", "t", "new.csv", "--out", "named.jsonl"});
  EXPECT_EQ(read_bytes(path("named.jsonl")), outcome.out);
  need({"predict", "--run", "t", "new.csv", "--out", "told.jsonl", "--format", "csv"});
  EXPECT_TRUE(read_bytes(path("told.jsonl")).starts_with("path,row,"));

  need({"eval", "--run", "t", "--data", "csv:t.csv?label=label", "--predictions", "all.jsonl"});
  const auto judged = lines_of(read_bytes(path("all.jsonl")));
  ASSERT_EQ(judged.size(), lines.size());
  for (std::size_t i = 0; i < judged.size(); ++i)
    EXPECT_EQ(json::parse(judged[i]).at("probabilities"), json::parse(lines[i]).at("probabilities"));

  write_bytes(path("short.csv"), "b\nodd\n");
  EXPECT_TRUE(complains(run({"predict", "--run", "t", "new.csv", "short.csv", "--out", "p.csv"}), 3,
                        {"short.csv", "no column 'a'"}));
  EXPECT_FALSE(std::filesystem::exists(path("p.csv")));
}

TEST_F(Apply, ClassesAreFoundByName) {
  train_photos();
  write_image_folder(path("other"), {"big, \"bad\" cat", "dog", "emu"}, 12);
  write_image_folder(path("fewer"), {"dog"}, 12);
  EXPECT_TRUE(complains(run({"eval", "--run", "p", "--data", "folder:other"}), 3, {"'emu'", "which the run lacks"}));
  const Outcome fewer = run({"eval", "--run", "p", "--data", "folder:fewer", "--json"});
  ASSERT_EQ(fewer.code, 0) << fewer;
  EXPECT_TRUE(has(fewer.err, "has no sample of 2 of the 3 classes of the run ('big, \"bad\" cat', 'elk')")) << fewer;
  const json evaluation = json::parse(fewer.out).at("results")[0].at("evaluation");
  EXPECT_EQ(evaluation.at("classes")[1].at("support"), 12);
  EXPECT_EQ(evaluation.at("classes")[0].at("support"), 0);
  EXPECT_EQ(evaluation.at("balanced_accuracy"), evaluation.at("classes")[1].at("recall"));
}

TEST_F(Apply, PredictGivesALineAnImageInOrderAndTheNumbersOfEval) {
  train_photos();
  write_image_folder(path("new"), {"big, \"bad\" cat", "dog", "elk"}, 3);
  write_bytes(path("new/notes.txt"), "no image");
  const Outcome outcome = run({"predict", "--run", "p", "new", "photos/dog/0.png", "--format", "jsonl"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.err, "10 images predicted by ce seed 0")) << outcome;
  const auto lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(json::parse(lines[0]).at("path"), "new/big, \"bad\" cat/0.png");
  EXPECT_EQ(json::parse(lines[9]).at("path"), "photos/dog/0.png");

  ASSERT_EQ(run({"eval", "--run", "p", "--data", "folder:new", "--predictions", "all.jsonl"}).code, 0);
  const auto judged = lines_of(read_bytes(path("all.jsonl")));
  for (std::size_t i = 0; i < judged.size(); ++i)
    for (const auto& [name, p] : json::parse(judged[i]).at("probabilities").items())
      EXPECT_NEAR(p.get<double>(), json::parse(lines[i]).at("probabilities").at(name).get<double>(), 1e-5);

  const Outcome csv = run({"predict", "--run", "p", "new", "--top", "1", "--out", "new.csv"});
  ASSERT_EQ(csv.code, 0) << csv;
  EXPECT_TRUE(csv.out.empty());
  const auto rows = lines_of(read_bytes(path("new.csv")));
  ASSERT_EQ(rows.size(), 10u);
  EXPECT_EQ(rows[0], "path,predicted,probability,class_1,p_1");
  EXPECT_TRUE(rows[1].starts_with("\"new/big, \"\"bad\"\" cat/0.png\",")) << rows[1];

  // The number of threads affects only the last bits.
  const Outcome one = run({"predict", "--run", "p", "new", "--threads", "1", "--top", "1"});
  const auto again = lines_of(one.out);
  ASSERT_EQ(again.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(again[i].substr(0, 30), rows[i].substr(0, 30));
}

TEST_F(Apply, PredictPassesOverDamagedImagesByNameAndCountsThem) {
  train_photos();
  write_image(path("new/1.png"), 0, 1);
  write_bytes(path("new/2.png"), "damaged");
  write_image(path("new/3.png"), 0, 1, 20);
  const Outcome outcome = run({"predict", "--run", "p", "new"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(lines_of(outcome.out).size(), 2u) << outcome;
  const auto said = outcome.error_lines();
  ASSERT_EQ(said.size(), 3u) << outcome;
  EXPECT_TRUE(has(said[0], "new/2.png") && has(said[0], "cannot be decoded")) << outcome;
  EXPECT_TRUE(has(said[1], "new/3.png") && has(said[1], "20 x 20") && has(said[1], "12 x 12")) << outcome;
  EXPECT_TRUE(has(said[2], "1 image predicted")) << outcome;
  EXPECT_TRUE(said[2].ends_with(", 2 skipped (not an image 1, of another size 1)")) << outcome;
  const Outcome counted = run({"predict", "--run", "p", "new", "--skip-bad"});
  EXPECT_EQ(counted.error_lines(), std::vector<std::string>{said[2]}) << counted;

  const auto before = contents();
  const Outcome none = run({"predict", "--run", "p", "new/2.png", "--out", "none.csv"});
  EXPECT_EQ(none.code, 3) << none;
  EXPECT_TRUE(has(none.error_lines().back(), "none of 1 image")) << none;
  fs::create_directory(path("empty"));
  EXPECT_TRUE(complains(run({"predict", "--run", "p", "empty", "--out", "none.csv"}), 3, {"no image"}));
  EXPECT_TRUE(complains(run({"predict", "--run", "p", "nowhere.png"}), 3, {"nowhere.png", "does not exist"}));
  fs::remove(path("empty"));
  EXPECT_EQ(contents(), before);
}

TEST_F(Apply, PredictCountsWhatItDoesNotUse) {
  train_photos();
  write_image(path("new/1.png"), 0, 1);
  fs::copy_file(path("new/1.png"), path("new/without"));
  write_bytes(path("new/2.gif"), "GIF89a");
  const Outcome outcome = run({"predict", "--run", "p", "new"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(lines_of(outcome.out).size(), 3u) << outcome;
  const auto said = outcome.error_lines();
  ASSERT_EQ(said.size(), 2u) << outcome;
  EXPECT_TRUE(has(said[0], ".gif 1")) << outcome;
}

TEST_F(Apply, PredictResizesAsTheRunDid) {
  train_photos({"--image-size", "10"});
  write_image(path("new/large.png"), 1, 1, 40);
  write_image(path("new/grey.png"), 1, 1, 30, 1);
  const Outcome outcome = run({"predict", "--run", "p", "new"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(lines_of(outcome.out).size(), 3u) << outcome;
}

TEST_F(Apply, PredictChoosesTheMemberOnTheValidationPartOrNotAtAll) {
  train({"--seeds", "2"});
  std::map<std::string, double> accuracy;
  for (const char* loss : {"ce", "elm-lambda-0.5-drw"})
    for (const char* seed : {"0", "1"})
      accuracy[loss] += read_json(path("o/results") / (std::string(loss) + ".seed" + seed + ".json"))
                            .at("validation")
                            .at("balanced_accuracy")
                            .get<double>();
  const std::string best = accuracy["ce"] >= accuracy["elm-lambda-0.5-drw"] ? "ce" : "elm:lambda=0.5+drw";
  write_image(path("new/1.png"), 0, 1, 28, 1);
  const Outcome chosen = run({"predict", "--run", "o", "new"});
  EXPECT_EQ(chosen.code, 0) << chosen;
  EXPECT_TRUE(has(chosen.err, "by " + best + " seed 0")) << chosen;
  const Outcome other = run(
      {"predict", "--run", "o", "new", "--loss", "ce", "--seed", "1", "--temperature", "auto", "--prior", "uniform"});
  EXPECT_EQ(other.code, 0) << other;
  EXPECT_TRUE(has(other.err, "by ce seed 1")) << other;

  ASSERT_EQ(run(compare({"--epochs", "1", "--out", "bare", "--quiet"})).code, 0);
  const std::vector<std::string> with = {"--loss", "ce seed 0; elm:lambda=0.5+drw seed 0"};
  EXPECT_TRUE(complains(run({"predict", "--run", "bare", "new"}), 2, with));
  EXPECT_TRUE(
      complains(run({"export", "--run", "bare", "--format", "safetensors", "--out", "w.safetensors"}), 2, with));
  EXPECT_EQ(run({"predict", "--run", "bare", "new", "--loss", "ce"}).code, 0);
}

TEST_F(Apply, PredictRefusesBadOptions) {
  train({"--losses", "ce", "--epochs", "1"});
  write_image(path("new/1.png"), 0, 1, 28, 1);
  const auto refused = [&](const Arguments& more, const std::vector<std::string>& with) {
    EXPECT_TRUE(complains(run(Arguments{"predict", "--run", "o"} + more), 2, with));
  };
  refused({"new", "--format", "xml"}, {"xml", "csv"});
  refused({"new", "--top", "0"}, {"--top", "at least 1"});
  refused({"new", "--top", "11"}, {"--top", "10"});
  refused({"new", "--threads", "-1"}, {"--threads"});
  refused({"new", "--tap", "1"}, {"--tap", "did you mean '--top'"});
  refused({}, {"PATH"});
}

TEST_F(Apply, ExportWritesWeightsThatAreTheCheckpoints) {
  train({"--losses", "elm"});
  const Outcome outcome = run({"export", "--run", "o", "--format", "safetensors", "--out", "w.safetensors"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.out, "differ by at most 0\n")) << outcome;
  EXPECT_EQ(tensors_of(path("w.safetensors")), tensors_of(path("o/checkpoints/elm.seed0.safetensors")));
  const std::string bytes = read_bytes(path("w.safetensors"));
  for (const char* key : {"\"classes\":", "\"mean\":", "\"stddev\":", "\"scale\":\"30\"",
                          "\"image_shape\":\"[1,28,28]\"", "\"format\":\"pt\"", "conv1.weight", "fc.weight"})
    EXPECT_TRUE(has(bytes.substr(0, 8000), key)) << key;
}

TEST_F(Apply, ATableIsExportedInBothFormats) {
  std::string table = "a,b,label\n";
  for (int i = 0; i < 40; ++i) table += table_row(i);
  write_bytes(path("t.csv"), table);
  for (const char* model : {"mlp", "linear"}) {
    need({"train", "--data", "csv:t.csv?label=label", "--loss", "ce", "--model", model, "--epochs", "2", "--threads",
          "1", "--out", model, "--quiet"});
    for (const char* format : {"safetensors", "torchscript"}) {
      const std::string out = std::string(model) + "." + format;
      const Outcome outcome = run({"export", "--run", model, "--format", format, "--out", out});
      EXPECT_EQ(outcome.code, 0) << outcome;
      EXPECT_TRUE(has(outcome.out, "differ by at most")) << outcome;
    }
    EXPECT_TRUE(has(read_bytes(path(std::string(model) + ".safetensors")), "\"encoding\":"));
  }
}

TEST_F(Apply, AModelWithoutFiniteWeightsIsAnErrorAndNoPrediction) {
  train({"--losses", "ce"});
  const fs::path checkpoint = path("o/checkpoints/ce.seed0.safetensors");
  std::string bytes = read_bytes(checkpoint);
  bytes.replace(bytes.size() - 4, 4, std::string("\0\0\xc0\x7f", 4));  // the last weight, NaN in float
  write_bytes(checkpoint, bytes);
  write_image_folder(path("photos"), {"a"}, 3, 28);
  for (const Arguments& use :
       {Arguments{"eval", "--run", "o"}, Arguments{"predict", "--run", "o", "photos", "--out", "p.csv"},
        Arguments{"tune", "--run", "o", "--losses", "crt"},
        Arguments{"export", "--run", "o", "--format", "safetensors", "--out", "w.safetensors"}})
    EXPECT_TRUE(complains(run(use), 4, {"ce.seed0.safetensors", "not a number"})) << use[0];
  EXPECT_FALSE(fs::exists(path("p.csv")));
  EXPECT_FALSE(fs::exists(path("w.safetensors")));
}

TEST_F(Apply, ARunOfAnotherMachinesDeviceIsUsedOnTheCpu) {
  train({"--losses", "ce"});
  write_image_folder(path("photos"), {"a"}, 3, 28);
  std::string config = read_bytes(path("o/config.toml"));
  const std::string cpu = "device = \"cpu\"";
  config.replace(config.find(cpu), cpu.size(), "device = \"cuda:7\"");
  write_bytes(path("o/config.toml"), config);
  for (const Arguments& use :
       {Arguments{"eval", "--run", "o"}, Arguments{"predict", "--run", "o", "photos"},
        Arguments{"tune", "--run", "o", "--losses", "crt"},
        Arguments{"export", "--run", "o", "--format", "safetensors", "--out", "w.safetensors"}}) {
    const Outcome said = run(use), told = run(use + Arguments{"--device", "cpu"});
    EXPECT_EQ(said.code, 0) << use[0] << said;
    EXPECT_TRUE(has(said.err, "cuda:7, which is not here; using cpu")) << said;
    EXPECT_EQ(told.code, 0) << use[0] << told;
    EXPECT_FALSE(has(told.err, "cuda")) << told;
    EXPECT_EQ(run(use + Arguments{"--device", "cuda:7"}).code, 5) << use[0];
  }
}

TEST_F(Apply, ExportWritesATorchScript) {
  train({"--losses", "ce"});
  const Outcome outcome = run({"export", "--run", "o", "--format", "torchscript", "--out", "model.pt"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.out, "model.pt: ce seed 0 as torchscript")) << outcome;
  EXPECT_GT(fs::file_size(path("model.pt")), 10'000u);

  const auto before = contents();
  EXPECT_TRUE(complains(run({"export", "--run", "o", "--format", "onnx", "--out", "m.onnx"}), 2,
                        {"onnx", "torch.onnx.export"}));
  EXPECT_TRUE(complains(run({"export", "--run", "o", "--format", "torchscrip", "--out", "m"}), 2,
                        {"did you mean 'torchscript'"}));
  EXPECT_TRUE(complains(run({"export", "--run", "o", "--format", "torchscript", "--out", "no/such/m.pt"}), 5,
                        {"no/such/m.pt"}));
  EXPECT_TRUE(complains(run({"export", "--run", "o", "--format", "torchscript"}), 2, {"--out"}));
  EXPECT_EQ(contents(), before);
}

}  // namespace
}  // namespace ulmus::cli_test
