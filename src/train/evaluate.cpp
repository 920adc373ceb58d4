#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "train/checkpointed_model.hpp"
#include "train/run_data.hpp"
#include "train/score_adjuster.hpp"
#include "train/torch_threads.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/evaluator.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/train/address_space.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

/// The file of predictions, one line per sample and model.
class PredictionFile {
 public:
  PredictionFile(const fs::path& path, const std::vector<std::string>& class_names)
      : class_names_(class_names), file_(path), writer_(PredictionWriter::format_of(path), class_names, 0) {
    file_.write(writer_.header(std::vector<std::string>{"loss", "seed", "sample", "true"}));
  }

  /// Adds a batch: logits [n, C], labels and indices [n].
  void add(const detail::CheckpointedModel& trained, const ScoreTransform& transform, MatrixView<const float> logits,
           std::span<const std::int64_t> labels, std::span<const std::int64_t> indices) {
    std::vector<double> p(class_names_.size());
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      transform.probabilities(std::span<const float>(logits.row(i), p.size()), p);
      const std::vector<PredictionWriter::Field> fields = {
          {"loss", trained.label()},
          {"seed", std::to_string(trained.info.seed), true},
          {"sample", std::to_string(indices[row]), true},
          {"true", class_names_[static_cast<std::size_t>(labels[row])]}};
      file_.write(writer_.line(fields, p));
    }
  }

  void commit() { file_.commit(); }

 private:
  const std::vector<std::string>& class_names_;
  AtomicFile file_;
  PredictionWriter writer_;
};

/// Evaluates transformed scores in the units of the head's output.
class ScoreEvaluator {
 public:
  ScoreEvaluator(const ClassCounts& counts, ScoreTransform transform)
      : transform_(std::move(transform)),
        evaluator_(counts, {.scale = transform_.scale / transform_.temperature, .ranking = true}) {}

  void add(const torch::Tensor& logits, std::span<const std::int64_t> labels) {
    const torch::Tensor adjusted = logits.clone();
    transform_.adjust({adjusted.data_ptr<float>(), adjusted.size(0), adjusted.size(1)});
    evaluator_.add(detail::view_of(adjusted), labels);
  }

  Evaluation finish() { return evaluator_.finish(); }

 private:
  ScoreTransform transform_;
  detail::Evaluator evaluator_;
};

/// Warns about classes that are missing from the evaluated samples.
void report_absent_classes(const Dataset& data, std::span<const std::int64_t> indices, const std::string& address) {
  std::vector<bool> present(data.class_names().size(), false);
  for (const std::int64_t i : indices)
    present[static_cast<std::size_t>(data.labels()[static_cast<std::size_t>(i)])] = true;
  std::vector<std::string> absent;
  for (std::size_t c = 0; c < present.size(); ++c)
    if (!present[c]) absent.push_back(fmt::format("'{}'", printable(data.class_names()[c])));
  if (absent.empty()) return;
  constexpr std::size_t k_named = 3;
  const std::size_t named = std::min(absent.size(), k_named);
  warn_once("absent " + address,
            fmt::format("'{}' has no sample of {} of the {} classes of the run ({}{}); means over classes are of the "
                        "other {}",
                        address, absent.size(), present.size(), join(std::span(absent).first(named), ", "),
                        named < absent.size() ? " ..." : "", present.size() - absent.size()));
}

TemperatureEffect temperature_effect(double temperature, const Evaluation& before, const Evaluation& after,
                                     bool fitted) {
  return {.temperature = temperature,
          .fitted = fitted,
          .ece_before = before.ece,
          .ece_after = after.ece,
          .nll_before = before.nll,
          .nll_after = after.nll};
}

}  // namespace

std::vector<ModelEvaluation> evaluate_run(const fs::path& folder, const RunOptions& run_options,
                                          const EvaluateOptions& options) {
  const Split split = read_split(folder / "split.json");
  const ClassCounts counts(split.train_counts, split.class_names);
  std::vector<detail::CheckpointedModel> models = detail::find_models(folder, options.models);
  const std::int64_t threads = run_options.threads.value_or(1);
  detail::set_torch_threads(threads);
  detail::require_address_space(1, threads);
  const std::optional<std::string>& encoding = models.front().info.encoding;
  const detail::ScoreAdjuster adjuster(folder, run_options, options.adjustment, split, encoding);
  const detail::Placement placement = detail::make_placement(run_options);

  RunOptions data_options = run_options;
  if (options.address) data_options.data = *options.address;
  const OpenedData data = detail::open_run_data(data_options, encoding, split.class_names);
  if (!options.address)
    detail::require_same_data(data, split, folder, fmt::format("name other data with {}", option_name("data")));
  // Of other data without a test part, all samples.
  const bool all = options.address && !data.test;
  const auto& [evaluated, indices] = all ? detail::TestPart{data.train, detail::all_indices(data.train)}
                                         : detail::test_part(data.train, data.test, split);
  report_absent_classes(evaluated, indices, data_options.data);

  std::optional<PredictionFile> predictions;
  if (options.predictions) predictions.emplace(*options.predictions, split.class_names);
  std::vector<ModelEvaluation> evaluations;
  for (detail::CheckpointedModel& trained : models) {
    Classifier model = trained.load(run_options.model_file);
    detail::place(model, placement);
    detail::ScoreAdjuster::Fit fit = adjuster.fit(trained, model);
    const ScoreTransform& transform = fit.transform;
    ScoreEvaluator evaluator(counts, transform);
    std::optional<ScoreEvaluator> untempered;
    if (adjuster.has_temperature()) {
      ScoreTransform plain = transform;
      plain.temperature = 1;
      untempered.emplace(counts, std::move(plain));
    }
    std::span<const std::int64_t> remaining = indices;
    detail::for_each_output(model, trained, evaluated, indices, static_cast<int>(run_options.loader_threads), placement,
                            [&](const torch::Tensor& logits, std::span<const std::int64_t> labels) {
                              evaluator.add(logits, labels);
                              if (untempered) untempered->add(logits, labels);
                              if (predictions)
                                predictions->add(trained, transform, detail::view_of(logits), labels,
                                                 remaining.first(labels.size()));
                              remaining = remaining.subspan(labels.size());
                            });
    ModelEvaluation result{.loss = trained.label(),
                           .seed = trained.info.seed,
                           .evaluation = evaluator.finish(),
                           .assumed_prior = std::move(fit.assumed_prior),
                           .prior = adjuster.prior()};
    if (!result.prior.empty()) result.prior_accuracy = accuracy_under(result.evaluation, result.prior);
    if (untempered)
      result.temperature = temperature_effect(transform.temperature, untempered->finish(), result.evaluation,
                                              adjuster.fits_temperature());
    evaluations.push_back(std::move(result));
  }
  if (predictions) predictions->commit();
  return evaluations;
}

}  // namespace ulmus
