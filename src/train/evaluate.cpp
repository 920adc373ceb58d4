#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "train/member.hpp"
#include "train/trained.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/evaluator.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/train/address_space.hpp"

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
  AtomicFile file_;
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

/// Says of which classes the judged samples have none.
void announce_absent(const Dataset& data, std::span<const std::int64_t> indices, const std::string& address) {
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
  const ClassCounts counts(split.train_counts, split.class_names);
  std::vector<detail::TrainedMember> members = detail::find_members(folder, options.loss, options.seed);
  const std::int64_t threads = std::max<std::int64_t>(1, run_options.threads);
  at::set_num_threads(static_cast<int>(threads));
  detail::require_address_space(1, threads);
  const std::string& encoding = members.front().info.encoding;
  const detail::Adjuster adjuster(folder, run_options, options.adjustment, split, encoding);
  const detail::Placement placement = detail::make_placement(run_options);

  RunOptions judged_options = run_options;
  if (!options.address.empty()) judged_options.data = options.address;
  const OpenedData data = detail::open_run_data(judged_options, encoding, split.class_names);
  if (options.address.empty()) detail::require_same_data(data, split, folder);
  const Dataset& judged = data.test ? *data.test : data.train;
  const bool own_test = options.address.empty() && !data.test;
  const std::vector<std::int64_t> indices = own_test ? split.test : detail::all_of(judged);
  announce_absent(judged, indices, judged_options.data);

  std::optional<PredictionFile> predictions;
  if (!options.predictions.empty()) predictions.emplace(options.predictions, split.class_names);
  std::vector<MemberEvaluation> evaluations;
  for (detail::TrainedMember& member : members) {
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
