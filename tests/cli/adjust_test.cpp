// Scores of other tools: corrected, measured before and after, and every bad file named.

#include <fmt/format.h>

#include <cmath>

#include "cli/tiny_data.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus::cli_test {
namespace {

class Adjust : public CliTest {
 protected:
  Adjust() {
    write_bytes(path("scores.csv"), scores(400, 1));
    write_bytes(path("validation.csv"), scores(400, 2));
    write_bytes(path("counts.csv"), "class,count\nfine,950\nfraud,50\n");
    write_bytes(path("costs.csv"), "true,fine,fraud\nfine,0,1\nfraud,20,0\n");
  }

  /// Probabilities of a model that has learned frequencies of 95 and 5 %, and is right; a tenth of the samples is
  /// fraud.
  static std::string scores(int rows, std::uint64_t seed) {
    std::string text = "id,fine,fraud,y\n";
    Stream stream(seed, "test");
    for (int i = 0; i < rows; ++i) {
      const bool fraud = i % 10 == 0;
      const double evidence = 2 * (stream.normal() + (fraud ? 2 : 0)) - 2;  // log of the ratio of two normal densities
      const double p = 1 / (1 + std::exp(std::log(0.95 / 0.05) - evidence));
      text += fmt::format("r{},{:.6f},{:.6f},{}\n", i, 1 - p, p, fraud ? "fraud" : "fine");
    }
    return text;
  }

  Outcome adjust(const Arguments& more) const { return run(Arguments{"adjust", "scores.csv", "--carry", "id"} + more); }
  nlohmann::json json(const Arguments& more) const {
    const Outcome outcome = adjust(Arguments{"--label", "y", "--json", "--resamples", "50"} + more);
    EXPECT_EQ(outcome.code, 0) << outcome;
    return nlohmann::json::parse(outcome.out);
  }
  static double value(const nlohmann::json& json, const char* metric, const char* when = "after") {
    return json.at("metrics").at(metric).at(when).at("value");
  }
  struct Case {
    Arguments arguments;
    std::vector<std::string> says;
  };
  void expect_refused(int code, const std::vector<Case>& cases) const {
    const auto before = contents();
    for (const Case& c : cases)
      EXPECT_TRUE(complains(run(Arguments{"adjust"} + c.arguments), code, c.says))
          << ::testing::PrintToString(c.arguments);
    EXPECT_EQ(contents(), before);
  }
};

TEST_F(Adjust, CountsAloneCorrectForEqualFrequencies) {
  const auto corrected = json({"--counts", "counts.csv"});
  EXPECT_EQ(corrected.at("prior"), (nlohmann::json{0.5, 0.5}));
  EXPECT_GT(value(corrected, "balanced_accuracy"), value(corrected, "balanced_accuracy", "before") + 0.1);
  EXPECT_NEAR(value(corrected, "roc_auc"), value(corrected, "roc_auc", "before"), 1e-12);
  EXPECT_EQ(json({"--counts", "counts.csv", "--prior", "uniform"}), corrected);
  EXPECT_NEAR(value(json({"--counts", "counts.csv", "--posthoc", "la:tau=1"}), "nll"), value(corrected, "nll"), 1e-9);
}

TEST_F(Adjust, ThresholdsAreFittedOnTheValidationFileAndJudgedOnTheOther) {
  const auto fitted = json({"--threshold", "maximise:f1", "--fit", "validation.csv"});
  EXPECT_GT(value(fitted, "f1"), value(fitted, "f1", "before"));
  EXPECT_GT(fitted.at("fitted_value"), 0);
  const auto recall = json({"--threshold", "maximise:recall@precision=0.3", "--fit", "validation.csv"});
  EXPECT_EQ(recall.at("precision"), 0.3);
  EXPECT_TRUE(recall.at("temperature").is_null());
  const auto both = json({"--temperature", "auto", "--threshold", "maximise:cost", "--cost", "costs.csv", "--fit",
                          "validation.csv", "--counts", "counts.csv"});
  EXPECT_LT(value(both, "cost"), value(both, "cost", "before"));
  EXPECT_TRUE(both.at("prior").is_null());
  EXPECT_LT(value(json({"--cost", "costs.csv"}), "cost"), value(both, "cost", "before"));
}

TEST_F(Adjust, TheRarerClassByCountsIsPositive) {
  write_bytes(path("other.csv"), "fine,5\nfraud,95\n");
  EXPECT_EQ(json({"--counts", "counts.csv"}).at("positive"), "fraud");
  EXPECT_EQ(json({"--counts", "other.csv"}).at("positive"), "fine");
  EXPECT_EQ(json({"--counts", "counts.csv", "--positive", "fine"}).at("positive"), "fine");
  EXPECT_EQ(json({"--threshold", "0.2"}).at("positive"), "fraud");
}

TEST_F(Adjust, WritesPredictionsAndAPage) {
  const Outcome outcome =
      adjust({"--label", "y", "--counts", "counts.csv", "--out", "out.csv", "--report", "page.html"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.out, "prior corrected from fine 0.95, fraud 0.05 to fine 0.5, fraud 0.5")) << outcome;
  EXPECT_TRUE(has(outcome.out, "1000 bootstrap samples")) << outcome;
  const std::string predictions = read_bytes(path("out.csv"));
  EXPECT_TRUE(predictions.starts_with("row,id,predicted,probability,p(fine),p(fraud)\n0,r0,"))
      << predictions.substr(0, 99);
  EXPECT_EQ(std::count(predictions.begin(), predictions.end(), '\n'), 401);
  EXPECT_TRUE(has(read_bytes(path("page.html")), "Reliability"));
  EXPECT_EQ(adjust({"--label", "y", "--counts", "counts.csv"}).out, outcome.out);  // the same every time

  // What it writes, it reads; corrected to the training frequencies again, it is what it was.
  const Outcome back = run({"adjust", "out.csv", "--counts", "counts.csv", "--trained-prior", "uniform", "--prior",
                            "train", "--out", "back.jsonl"});
  ASSERT_EQ(back.code, 0) << back;
  const auto first =
      nlohmann::json::parse(read_bytes(path("back.jsonl")).substr(0, read_bytes(path("back.jsonl")).find('\n')));
  const std::string row = scores(1, 1);
  EXPECT_NEAR(first.at("probabilities").at("fine"), std::stod(row.substr(row.find("r0,") + 3)), 1e-4);
}

TEST_F(Adjust, LogitsGiveWhatTheirProbabilitiesGive) {
  write_bytes(path("p.csv"), "a,b,c,y\n0.5,0.3,0.2,a\n0.1,0.8,0.1,b\n0.6,0.2,0.2,c\n");
  std::string logits = "a,b,c,y\n";
  for (const auto& [a, b, c, y] : {std::tuple(0.5, 0.3, 0.2, 'a'), {0.1, 0.8, 0.1, 'b'}, {0.6, 0.2, 0.2, 'c'}})
    logits += fmt::format("{},{},{},{}\n", 4 + std::log(a), 4 + std::log(b), 4 + std::log(c), y);
  write_bytes(path("z.csv"), logits);
  write_bytes(path("n.csv"), "8\n1\n1\n");
  const auto of = [&](const Arguments& more) {
    const Outcome outcome = run(more + Arguments{"--label", "y", "--counts", "n.csv", "--json", "--resamples", "0"});
    EXPECT_EQ(outcome.code, 0) << outcome;
    return nlohmann::json::parse(outcome.out);
  };
  const auto p = of({"adjust", "p.csv"}), z = of({"adjust", "z.csv", "--logits"});
  for (const char* metric : {"balanced_accuracy", "nll", "brier", "average_precision"})
    EXPECT_NEAR(value(p, metric), value(z, metric), 1e-9) << metric;
}

TEST_F(Adjust, NewScoresNeedNoLabels) {
  write_bytes(path("new.csv"), "fraud,fine\n0.1,0.9\n0.8,0.2\n");
  const Outcome outcome = run({"adjust", "new.csv", "--label", "y", "--threshold", "maximise:f1", "--fit",
                               "validation.csv", "--out", "new-out.csv"});
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(has(outcome.err, "'new.csv' has no column 'y', so nothing is measured")) << outcome;
  EXPECT_TRUE(has(read_bytes(path("new-out.csv")), "\n1,fraud,0.8,0.8,0.2\n"));
  const Outcome bare = run({"adjust", "new.csv", "--label", "y", "--counts", "counts.csv", "--out", "o.csv"});
  EXPECT_TRUE(complains(bare, 2, {"'new.csv' has no column 'y'"}));
}

TEST_F(Adjust, OptionsThatCannotApplyAreRefused) {
  const Arguments base = {"scores.csv", "--carry", "id", "--label", "y"};
  const Arguments counts = base + Arguments{"--counts", "counts.csv"},
                  fit = base + Arguments{"--fit", "validation.csv"};
  expect_refused(
      2, {{base, {"nothing to do", "--counts FILE"}},
          {{"scores.csv", "--counts", "counts.csv"}, {"--label COLUMN", "--out FILE"}},
          {{"scores.csv", "--counts", "counts.csv", "--json"}, {"--json needs labels", "--label COLUMN"}},
          {{"scores.csv", "--counts", "counts.csv", "--report", "p.html"}, {"--report needs labels"}},
          {base + Arguments{"--threshold", "maximise:f1"}, {"--fit FILE"}},
          {base + Arguments{"--temperature", "auto"}, {"--fit FILE"}},
          {counts + Arguments{"--fit", "validation.csv"}, {"nothing is fitted"}},
          {base + Arguments{"--fit", "./scores.csv", "--temperature", "auto"}, {"--fit is the file that is measured"}},
          {base + Arguments{"--threshold", "f1"}, {"'f1'", "maximise:"}},
          {base + Arguments{"--threshold", "1.5"}, {"--threshold is 1.5", "between 0 and 1"}},
          {fit + Arguments{"--threshold", "maximise:f2"}, {"did you mean 'f1'"}},
          {fit + Arguments{"--threshold", "maximise:cost"}, {"give --cost"}},
          {base + Arguments{"--prior", "uniform"}, {"--counts", "--trained-prior"}},
          {base + Arguments{"--prior", "train"}, {"--prior train needs", "--counts"}},
          {counts + Arguments{"--prior", "0.5,0.3,0.2"}, {"--prior has 3 numbers", "2 classes"}},
          {counts + Arguments{"--trained-prior", "uniform"}, {"--trained-prior is for --prior"}},
          {base + Arguments{"--posthoc", "la"}, {"--counts"}},
          {counts + Arguments{"--posthoc", "tau-norm"}, {"la:tau=1"}},
          {counts + Arguments{"--positive", "frud"}, {"did you mean 'fraud'"}},
          {base + Arguments{"--temperature", "0"}, {"--temperature is 0"}},
          {counts + Arguments{"--resamples", "-1"}, {"--resamples is -1"}},
          {{"scores.csv", "--label", "target", "--counts", "counts.csv", "--carry", "id"}, {"no column 'target'"}}});
}

TEST_F(Adjust, BadFilesAreNamedWithTheirLine) {
  const Arguments base = {"scores.csv", "--carry", "id", "--label", "y"};
  std::vector<Case> cases = {
      {{"missing.csv", "--label", "y", "--counts", "counts.csv"}, {"missing.csv"}},
  };
  int files = 0;
  const auto written = [&](const std::string& text) {
    const std::string name = fmt::format("bad{}.csv", files++);
    write_bytes(path(name), text);
    return name;
  };
  const auto scores = [&](const std::string& text, const std::vector<std::string>& says) {
    cases.push_back({{written(text), "--label", "y", "--counts", "counts.csv"}, says});
  };
  scores("", {"' is empty"});
  scores("fine,fraud,y\n", {"has a header but no row"});
  scores("fine,fraud,y\n0.5,0.5,fine\n0.5,0.3,fine\n", {"line 3", "sum to 0.8", "--logits"});
  scores("fine,fraud,y\n0.5,NaN,fine\n", {"line 2", "'fraud'", "'NaN'"});
  scores("fine,fraud,y\n-3.1,2.5,fine\n", {"line 2", "is -3.1, expected 0 to 1", "--logits"});
  scores("fine,fraud,other,y\n0.5,0.5,0,fine\n", {"'other', which is no class of 'counts.csv'", "--carry COLUMN"});
  scores("fine,y\n1,fine\n", {"no column for the class 'fraud'"});
  scores("fine,fraud,y\n0.5,0.5,good\n", {"line 2", "the label 'good' is no class"});
  scores("fine,fraud,y\n0.5,0.5,\n", {"the label '' is no class"});
  const auto option = [&](const std::string& name, const std::string& text, const std::vector<std::string>& says) {
    cases.push_back({base + Arguments{name, written(text)}, says});
  };
  option("--cost", "t,fine,fraud\nfine,0,1\n", {"has no row for the class 'fraud'", "square"});
  option("--cost", "t,fine,good\nfine,0,1\ngood,1,0\n", {"names 'good', which is no class"});
  option("--counts", "cat,3\ndog,4\n", {"'fine', which is no class of 'bad"});
  option("--counts", "fine,3\nfraud,0\n", {"is '0', expected a number above 0"});
  option("--counts", "fine,3\nfraud,x\n", {"line 2", "'x', expected a whole number"});
  expect_refused(3, cases);
  expect_refused(2, {{base + Arguments{"--temperature", "auto", "--fit", written("fine,fraud,z\n0.5,0.5,fine\n")},
                      {"has no column 'y'"}}});
  expect_refused(5, {{base + Arguments{"--counts", "counts.csv", "--out", "no/o.csv"}, {"no/o.csv"}}});
}

}  // namespace
}  // namespace ulmus::cli_test
