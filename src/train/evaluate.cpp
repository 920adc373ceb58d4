#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "eval/evaluator.hpp"
#include "train/member.hpp"
#include "train/trained.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/prior.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

/// The file of --predictions, a line a sample and member.
class PredictionFile {
 public:
  PredictionFile(const fs::path& path, const std::vector<std::string>& class_names)
      : class_names_(class_names), file_(path), writer_(PredictionWriter::format_of(path), class_names, 0) {
    file_.write(writer_.header(std::vector<std::string>{"loss", "seed", "sample", "true"}));
  }

  /// A batch: logits [n, C], labels and indices [n].
  void add(const detail::TrainedMember& member, const Scores& scores, MatrixView<const float> logits,
           std::span<const std::int64_t> labels, std::span<const std::int64_t> indices) {
    std::vector<double> p(class_names_.size());
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      scores.probabilities(std::span<const float>(logits.row(i), p.size()), p);
      const std::vector<PredictionWriter::Field> fields = {
          {"loss", member.label()},
          {"seed", std::to_string(member.info.seed), true},
          {"sample", std::to_string(indices[row]), true},
          {"true", class_names_[static_cast<std::size_t>(labels[row])]}};
      file_.write(writer_.line(fields, p));
    }
  }

  void commit() { file_.commit(); }

 private:
  const std::vector<std::string>& class_names_;
  WholeFile file_;
  PredictionWriter writer_;
};

/// Judges scores in the units of the head.
class ScoreEvaluator {
 public:
  ScoreEvaluator(const ClassCounts& counts, Scores scores)
      : scores_(std::move(scores)), evaluator_(counts, {.scale = scores_.scale / scores_.temperature}) {}

  void add(const torch::Tensor& logits, std::span<const std::int64_t> labels) {
    const torch::Tensor adjusted = logits.clone();
    scores_.adjust({adjusted.data_ptr<float>(), adjusted.size(0), adjusted.size(1)});
    evaluator_.add(detail::view_of(adjusted), labels);
  }

  Evaluation finish() { return evaluator_.finish(); }

 private:
  Scores scores_;
  detail::Evaluator evaluator_;
};

/// Throws Error{data} naming the first class that data to judge on have otherwise than the run.
void require_classes(const Dataset& data, const Split& split, const std::string& address) {
  if (data.class_names == split.class_names) return;
  const auto [theirs, ours] = std::ranges::mismatch(data.class_names, split.class_names);
  const auto name = [](auto place, const std::vector<std::string>& names) {
    return place == names.end() ? std::string("missing") : fmt::format("'{}'", printable(*place));
  };
  throw Error(ErrorKind::data,
              fmt::format("'{}' has {} classes, the run has {}; class {} is {} there and {} in the run; give data with "
                          "the classes of the run",
                          address, data.class_names.size(), split.class_names.size(), theirs - data.class_names.begin(),
                          name(theirs, data.class_names), name(ours, split.class_names)));
}

TemperatureEffect effect_of(double temperature, const Evaluation& before, const Evaluation& after, bool fitted) {
  return {.temperature = temperature,
          .fitted = fitted,
          .ece_before = before.ece,
          .ece_after = after.ece,
          .nll_before = before.nll,
          .nll_after = after.nll};
}

}  // namespace

std::vector<MemberEvaluation> evaluate_run(const fs::path& folder, const RunOptions& run_options,
                                           const EvaluateOptions& options) {
  const Split split = read_split(folder / "split.json");
  const ClassCounts counts(split.train_counts);
  const std::vector<detail::TrainedMember> members = detail::find_members(folder, options.loss, options.seed);
  at::set_num_threads(static_cast<int>(std::max<std::int64_t>(1, run_options.threads)));
  const std::string& encoding = members.front().info.encoding;
  const detail::Adjuster adjuster(folder, run_options, options.adjustment, split, encoding);
  const detail::Placement placement = detail::make_placement(run_options);

  RunOptions judged_options = run_options;
  if (!options.address.empty()) judged_options.data = options.address;
  const OpenedData data = detail::open_run_data(judged_options, encoding);
  if (options.address.empty()) detail::require_same_data(data, split, folder);
  const Dataset& judged = data.test ? *data.test : data.train;
  require_classes(judged, split, judged_options.data);
  const bool own_test = options.address.empty() && !data.test;
  const std::vector<std::int64_t> indices = own_test ? split.test : detail::all_of(judged);

  std::optional<PredictionFile> predictions;
  if (!options.predictions.empty()) predictions.emplace(options.predictions, split.class_names);
  std::vector<MemberEvaluation> evaluations;
  for (const detail::TrainedMember& member : members) {
    Classifier model = member.load(run_options.model_file);
    detail::place(model, placement);
    detail::Adjuster::Reading reading = adjuster.read(member, model);
    const Scores& scores = reading.scores;
    ScoreEvaluator evaluator(counts, scores);
    std::optional<ScoreEvaluator> untempered;
    if (adjuster.has_temperature()) {
      Scores plain = scores;
      plain.temperature = 1;
      untempered.emplace(counts, std::move(plain));
    }
    std::span<const std::int64_t> ahead = indices;
    detail::for_each_output(model, member, judged, indices, static_cast<int>(run_options.loader_threads), placement,
                            [&](const torch::Tensor& logits, std::span<const std::int64_t> labels) {
                              evaluator.add(logits, labels);
                              if (untempered) untempered->add(logits, labels);
                              if (predictions)
                                predictions->add(member, scores, detail::view_of(logits), labels,
                                                 ahead.first(labels.size()));
                              ahead = ahead.subspan(labels.size());
                            });
    MemberEvaluation result{.loss = member.label(),
                            .seed = member.info.seed,
                            .evaluation = evaluator.finish(),
                            .assumed_prior = std::move(reading.assumed_prior),
                            .prior = adjuster.prior()};
    if (!result.prior.empty()) result.prior_accuracy = accuracy_under(result.evaluation, result.prior);
    if (untempered)
      result.temperature = effect_of(scores.temperature, untempered->finish(), result.evaluation, adjuster.fits());
    evaluations.push_back(std::move(result));
  }
  if (predictions) predictions->commit();
  return evaluations;
}

}  // namespace ulmus
