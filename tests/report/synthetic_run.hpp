#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/eval/evaluation.hpp"

namespace ulmus::test {

/// A run folder made without training: random logits that favour frequent classes, evaluated by evaluate().
struct SyntheticRun {
  std::vector<std::string> losses = {"ce", "ldam+drw", "elm:lambda=0.5+drw"};
  std::vector<std::string> class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  std::int64_t seeds = 3;
  std::int64_t epochs = 10;
  double ratio = 100;
  std::int64_t most = 6000;           ///< training samples of the first class
  std::int64_t test_per_class = 400;  ///< evaluated samples per class
  std::int64_t validation_per_class = 0;
};

inline std::vector<std::int64_t> synthetic_counts(const SyntheticRun& run) {
  std::vector<std::int64_t> counts;
  const double last = static_cast<double>(run.class_names.size() - 1);
  for (std::size_t y = 0; y < run.class_names.size(); ++y)
    counts.push_back(
        static_cast<std::int64_t>(static_cast<double>(run.most) * std::pow(run.ratio, -static_cast<double>(y) / last)));
  return counts;
}

/// `bias`: decrease of a class's logit per unit of log rarity. `signal`: added to the true class.
inline Evaluation synthetic_evaluation(const std::vector<std::int64_t>& counts, std::int64_t per_class, double bias,
                                       double signal, double unit, std::uint64_t seed, const std::string& stream) {
  const auto classes = static_cast<std::int64_t>(counts.size());
  std::vector<float> logits;
  std::vector<std::int64_t> labels;
  Stream random(seed, stream);
  for (std::int64_t y = 0; y < classes; ++y)
    for (std::int64_t k = 0; k < per_class; ++k) {
      labels.push_back(y);
      for (std::int64_t j = 0; j < classes; ++j) {
        const double rarity = std::log(static_cast<double>(counts[0]) / static_cast<double>(counts[j]));
        const double alike = j != y && j / 2 == y / 2 ? 0.25 : 0;
        const double z = (j == y ? signal : alike) - bias * rarity + 0.17 * random.normal();
        logits.push_back(static_cast<float>(unit * z));
      }
    }
  return evaluate({logits.data(), static_cast<std::int64_t>(labels.size()), classes}, labels, ClassCounts(counts),
                  {.scale = unit == 1 ? 12.0 : 1.0});
}

/// Writes the run and returns its folder.
inline std::filesystem::path write_synthetic_run(const std::filesystem::path& folder, const SyntheticRun& run) {
  const std::vector<std::int64_t> counts = synthetic_counts(run);
  make_folder(folder / "results");
  write_file(
      folder / "config.toml",
      "# ulmus compare --data fashion-mnist --imbalance exp:100 --seeds 3 --out runs/first\nmodel = \"conv3\"\n");
  const Json split = {{"schema_version", 1},
                      {"data", "fashion-mnist"},
                      {"data_sha256", sha256("data")},
                      {"sha256", sha256("split")},
                      {"class_names", run.class_names},
                      {"train_counts", counts},
                      {"imbalance", "exp:100"},
                      {"seed", 0},
                      {"validation_per_class", run.validation_per_class},
                      {"train", {0, 1, 2}}};
  write_file(folder / "split.json", split.dump());

  std::string metrics;
  for (std::size_t i = 0; i < run.losses.size(); ++i) {
    const std::string& loss = run.losses[i];
    const bool cosine = loss.find("ldam") == 0 || loss.find("elm") == 0;
    const bool deferred = loss.find("+drw") != std::string::npos;
    const double bias = std::max(0.0, deferred ? 0.03 - 0.002 * static_cast<double>(i) : 0.1);
    for (std::int64_t seed = 0; seed < run.seeds; ++seed) {
      const auto stream_seed = static_cast<std::uint64_t>(seed) * 1000 + i;
      const double luck = 0.01 * Stream(stream_seed, "luck").normal();
      const double unit = cosine ? 1.0 : 14.0;
      const auto judged = [&](double signal, const char* stream) {
        return synthetic_evaluation(counts, run.test_per_class, bias, signal + luck, unit, stream_seed, stream);
      };
      const Evaluation test = judged(0.62, "test");
      Json result = {{"schema_version", k_result_schema_version},
                     {"order", i},
                     {"loss", loss},
                     {"loss_full", loss + " with every parameter written out"},
                     {"seed", seed},
                     {"epochs", run.epochs},
                     {"model", "conv3"},
                     {"head", cosine ? "cosine" : "linear"},
                     {"scale", cosine ? 30 : 1},
                     {"parameters", 123456},
                     {"seconds", 61.5},
                     {"train", judged(0.95, "train")},
                     {"test", test},
                     {"validation", nullptr}};
      if (run.validation_per_class > 0) result["validation"] = judged(0.62, "validation");
      write_file(folder / "results" / ("loss" + std::to_string(i) + ".seed" + std::to_string(seed) + ".json"),
                 result.dump());
      for (std::int64_t epoch = 0; epoch < run.epochs; ++epoch) {
        const bool reweighted = deferred && 5 * epoch >= 4 * run.epochs;
        const double grown = 1 - 0.6 * std::exp(-0.5 * static_cast<double>(epoch + 1));
        const double accuracy = test.balanced_accuracy * grown * (deferred && !reweighted ? 0.9 : 1);
        const Json score = {{"balanced_accuracy", accuracy}, {"top1", accuracy}};
        const Json line = {{"loss", loss},
                           {"seed", seed},
                           {"epoch", epoch},
                           {"epochs", run.epochs},
                           {"learning_rate", 0.1},
                           {"reweighted", reweighted},
                           {"train_loss", (1.3 + 0.1 * static_cast<double>(i)) * (1.05 - grown)},
                           {"train_top1", grown},
                           {"test", score},
                           {"validation", run.validation_per_class > 0 ? score : Json()},
                           {"seconds", 6.1}};
        metrics += line.dump() + "\n";
      }
    }
  }
  write_file(folder / "metrics.jsonl", metrics);
  return folder;
}

/// `count` names, "class 0" and so on.
inline std::vector<std::string> numbered_names(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("class " + std::to_string(i));
  return names;
}

}  // namespace ulmus::test
