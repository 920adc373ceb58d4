#include "train/tree_trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "train/checkpoint.hpp"
#include "train/derived_options.hpp"
#include "train/run_data.hpp"
#include "train/tree_classifier.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/trees/objective.hpp"

namespace ulmus::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t k_rounds_between_checkpoints = 50;
constexpr double k_seconds_between_checkpoints = 30;
constexpr std::int64_t k_rounds_between_lines = 10;  // of metrics.jsonl

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Json accuracies(const Evaluation& evaluation) {
  return {{"balanced_accuracy", evaluation.balanced_accuracy}, {"top1", evaluation.top1}};
}

/// Samples as XGBoost holds them, and their labels.
struct Part {
  FeatureMatrix rows;
  std::vector<std::int64_t> labels;

  Part(const Dataset& data, const std::vector<std::int64_t>& indices, const FeatureColumns& columns, int threads)
      : rows(feature_matrix(data, indices, columns, threads)) {
    for (const std::int64_t i : indices) labels.push_back(data.labels()[static_cast<std::size_t>(i)]);
  }
  Part(const TestPart& test, const FeatureColumns& columns, int threads)
      : Part(test.data, test.indices, columns, threads) {}
};

/// The round that does best on the validation part. It is saved with the trees.
struct BestRound {
  std::int64_t rounds = 0;  ///< trees up to it; 0: none yet
  double balanced_accuracy = -1;
  double nll = 0;

  bool is_beaten_by(const Evaluation& evaluation) const {
    return evaluation.balanced_accuracy > balanced_accuracy ||
           (evaluation.balanced_accuracy == balanced_accuracy && evaluation.nll < nll);
  }
};

/// Names of the notes that are saved with the trees. `best_iteration` is XGBoost's own: its Python package predicts
/// with the rounds up to it.
constexpr const char* k_best_iteration = "best_iteration";
constexpr const char* k_best_accuracy = "ulmus_best_balanced_accuracy";
constexpr const char* k_best_nll = "ulmus_best_nll";
constexpr const char* k_rounds_tried = "ulmus_rounds_tried";

class TreeTrainer {
 public:
  TreeTrainer(const Plan& plan, const Trial& trial)
      : plan_(plan),
        trial_(trial),
        options_(TreeOptions::parse(plan.options.model)),
        threads_(static_cast<int>(plan.threads())),
        columns_(feature_columns(plan.encoding, plan.data.train.shape().channels)),
        train_(plan.data.train, plan.split.train, columns_, threads_),
        test_(test_part(plan.data.train, plan.data.test, plan.split), columns_, threads_),
        objective_(Loss(trial.loss, plan.counts),
                   requested_reduction(plan.options).value_or(Loss(trial.loss, plan.counts).params().reduction),
                   train_.labels, threads_) {
    if (!plan.split.validation.empty()) validation_.emplace(plan.data.train, plan.split.validation, columns_, threads_);
    booster_.emplace(options_, plan.data.train.classes(), columns_, trial.seed, threads_, seen());
    judged_from_ = std::max(trial.loss.rule_epoch(plan.epochs()), trial.loss.start_epoch(plan.epochs()));
  }

  /// Continues from a checkpoint.
  void restore(const std::filesystem::path& checkpoint) {
    const SafetensorsFile file(checkpoint);
    const CheckpointInfo info = read_checkpoint_info(file);
    if (loss_of(info, checkpoint) != trial_.loss || info.seed != trial_.seed || info.model.name != plan_.options.model)
      throw Error(ErrorKind::data,
                  fmt::format("checkpoint '{}' belongs to {} seed {} of model {}, expected {} seed {} of {}; remove it "
                              "to train this trial again",
                              checkpoint.string(), printable(info.loss), info.seed, printable(info.model.name),
                              trial_.loss.full_text(), trial_.seed, plan_.options.model));
    finished_ = info.epochs_done == info.epochs;
    if (!finished_ && options_.colsample < 1) return;
    booster_.emplace(read_trees(file, info), options_, plan_.data.train.classes(), columns_, trial_.seed, threads_,
                     seen());
    seconds_before_ = info.seconds;
    const auto number = [&](const char* name, const std::string& text) {
      try {
        return parse_number(text, name);
      } catch (const Error& error) {
        throw_bad_checkpoint(checkpoint, error.what());
      }
    };
    if (const auto tried = booster_->attribute(k_rounds_tried))
      tried_ = static_cast<std::int64_t>(number(k_rounds_tried, *tried));
    if (const auto best = booster_->attribute(k_best_iteration))
      best_ = {.rounds = static_cast<std::int64_t>(number(k_best_iteration, *best)) + 1,
               .balanced_accuracy = number(k_best_accuracy, booster_->attribute(k_best_accuracy).value_or("")),
               .nll = number(k_best_nll, booster_->attribute(k_best_nll).value_or(""))};
  }

  bool finished() const {
    const std::int64_t rounds = booster_->rounds();
    const bool waited =
        validation_ && options_.patience > 0 && best_.rounds > 0 && rounds - best_.rounds >= options_.patience;
    return finished_ || rounds >= options_.rounds || waited;
  }

  /// Grows the trees of one round. Returns its line of metrics.jsonl, or null where none is due.
  Json run_round(const TrialProgress& progress) {
    const auto start = Clock::now();
    const std::int64_t round = booster_->rounds();
    objective_.loss().set_epoch(round, plan_.epochs());
    const std::vector<float> scores = booster_->scores(train_.rows);
    gradient_.resize(scores.size());
    hessian_.resize(scores.size());
    const double loss = objective_.evaluate(scores, gradient_, hessian_);
    if (!std::isfinite(loss))
      throw Error(ErrorKind::numerical,
                  fmt::format("the loss is {} in round {} of {} seed {}; lower the key eta of the model (now {}), or "
                              "the loss's scale or weights",
                              std::isnan(loss) ? "not a number" : "infinite", round + 1, trial_.loss.text(),
                              trial_.seed, format_number(options_.eta)));
    booster_->boost(train_.rows, gradient_, hessian_);

    std::optional<Evaluation> validation;
    if (validation_) {
      validation = evaluate(*booster_, *validation_);
      if (round >= judged_from_ && best_.is_beaten_by(*validation)) note_best(round, *validation);
    }
    const bool line_due = round % k_rounds_between_lines == 0 || finished();
    std::optional<Evaluation> test;
    if (line_due) test = evaluate(*booster_, test_);
    report(progress, round, loss, test ? &*test : nullptr);
    if (!line_due) return nullptr;
    return {{"loss", trial_.loss.text()},
            {"seed", trial_.seed},
            {"epoch", round},
            {"epochs", plan_.epochs()},
            {"learning_rate", options_.eta},
            {"reweighted", !objective_.loss().class_weights().empty()},
            {"train_loss", loss},
            {"train_top1", objective_.accuracy()},
            {"test", accuracies(*test)},
            {"validation", validation ? accuracies(*validation) : Json()},
            {"seconds", seconds_since(start)}};
  }

  std::int64_t rounds() const { return booster_->rounds(); }

  /// Keeps the rounds up to the best one.
  void finish() {
    if (finished_) return;
    tried_ = booster_->rounds();
    if (best_.rounds > 0 && best_.rounds < tried_) {
      booster_ = booster_->first(best_.rounds);
      booster_->set_attribute(k_best_iteration, std::to_string(best_.rounds - 1));  // XGBoost drops it
    }
    booster_->set_attribute(k_rounds_tried, std::to_string(tried_));
    finished_ = true;
  }

  /// Whether a checkpoint can be continued from.
  bool resumable() const { return options_.colsample == 1; }

  void save(const std::filesystem::path& checkpoint) const {
    const Classifier model = as_classifier(*booster_, columns_, plan_.data.train.classes(), trial_.loss.scale());
    save_checkpoint(checkpoint,
                    {.loss = trial_.loss.full_text(),
                     .seed = trial_.seed,
                     .epochs_done = finished_ ? plan_.epochs() : booster_->rounds(),
                     .epochs = plan_.epochs(),
                     .seconds = seconds(),
                     .model = model_options(plan_.options, plan_.data.train, trial_.head),
                     .class_names = plan_.data.train.class_names(),
                     .encoding = plan_.encoding},
                    model, nullptr);
  }

  /// The content of the trial's file in results/.
  Json result() const {
    const std::int64_t rounds = booster_->rounds(), trees = rounds * objective_.groups();
    Json json = {{"schema_version", k_result_schema_version},
                 {"loss", trial_.loss.text()},
                 {"loss_full", trial_.loss.full_text()},
                 {"order", trial_.order},
                 {"seed", trial_.seed},
                 {"epochs", rounds},
                 {"model", plan_.options.model},
                 {"head", std::string(name_of(trial_.head))},
                 {"scale", trial_.loss.scale()},
                 {"parameters", booster_->splits() + trees},  // a value in each leaf
                 {"seconds", seconds()},
                 {"train", evaluate(*booster_, train_)},
                 {"test", evaluate(*booster_, test_)},
                 {"validation", validation_ ? Json(evaluate(*booster_, *validation_)) : Json()},
                 {"selection", Json()},
                 {"importance", {{"columns", columns_.names}, {"gain", booster_->importance()}}}};
    if (best_.rounds > 0)
      json["selection"] = {{"chosen", fmt::format("rounds={}", rounds)}, {"candidates", std::max(tried_, rounds)}};
    return json;
  }

 private:
  /// The parts whose scores XGBoost keeps from round to round.
  std::vector<FeatureMatrix> seen() const {
    std::vector<FeatureMatrix> matrices = {train_.rows, test_.rows};
    if (validation_) matrices.push_back(validation_->rows);
    return matrices;
  }

  void note_best(std::int64_t round, const Evaluation& evaluation) {
    best_ = {.rounds = round + 1, .balanced_accuracy = evaluation.balanced_accuracy, .nll = evaluation.nll};
    booster_->set_attribute(k_best_iteration, std::to_string(round));
    booster_->set_attribute(k_best_accuracy, format_number(best_.balanced_accuracy));
    booster_->set_attribute(k_best_nll, format_number(best_.nll));
  }

  Evaluation evaluate(const Booster& booster, const Part& part) const {
    const std::int64_t classes = plan_.data.train.classes();
    std::vector<float> logits(part.labels.size() * static_cast<std::size_t>(classes));
    const MatrixView<float> view(logits.data(), std::ssize(part.labels), classes);
    logits_of_scores(booster.scores(part.rows), trial_.loss.scale(), view);
    return ulmus::evaluate({logits.data(), view.rows, classes}, part.labels, plan_.counts,
                           {.scale = trial_.loss.scale()});
  }

  double seconds() const { return seconds_before_ + seconds_since(start_); }

  void report(const TrialProgress& progress, std::int64_t round, double loss, const Evaluation* test) const {
    report_progress(progress, {.epoch = round, .epochs = plan_.epochs(), .step = 1, .steps = 1, .train_loss = loss},
                    test);
  }

  const Plan& plan_;
  const Trial& trial_;
  TreeOptions options_;
  int threads_;
  FeatureColumns columns_;
  Part train_, test_;
  std::optional<Part> validation_;
  TreeObjective objective_;
  std::optional<Booster> booster_;
  std::vector<float> gradient_, hessian_;
  BestRound best_;
  std::int64_t judged_from_ = 0;  ///< first round that may be the best one
  std::int64_t tried_ = 0;        ///< rounds, of which the best was kept
  bool finished_ = false;
  double seconds_before_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

void train_trees(const Plan& plan, const Trial& trial, const TrialPaths& paths, const TrialProgress& progress,
                 const std::function<bool()>& stop) {
  TreeTrainer trainer(plan, trial);
  if (std::filesystem::exists(paths.checkpoint)) trainer.restore(paths.checkpoint);
  auto saved = Clock::now();
  while (!trainer.finished()) {
    if (stop && stop()) {
      if (trainer.resumable() && trainer.rounds() > 0) trainer.save(paths.checkpoint);
      throw Error(ErrorKind::interrupted, fmt::format("interrupted after round {} of {} seed {}", trainer.rounds(),
                                                      trial.loss.text(), trial.seed));
    }
    const Json line = trainer.run_round(progress);
    if (!line.is_null()) append_line(paths.metrics, line.dump());
    const bool due =
        trainer.rounds() % k_rounds_between_checkpoints == 0 || seconds_since(saved) > k_seconds_between_checkpoints;
    if (trainer.resumable() && due && !trainer.finished()) {
      trainer.save(paths.checkpoint);
      saved = Clock::now();
    }
  }
  trainer.finish();
  trainer.save(paths.checkpoint);
  write_file(paths.result, trainer.result().dump() + "\n");
}

}  // namespace ulmus::detail
