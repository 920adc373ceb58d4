#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

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

  void add(const detail::TrainedMember& member, const detail::Outputs& outputs, const Scores& scores,
           const std::vector<std::int64_t>& indices) {
    const MatrixView<float> logits = outputs.view();
    std::vector<double> p(class_names_.size());
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      scores.probabilities(std::span<const float>(logits.row(i), p.size()), p);
      const std::vector<PredictionWriter::Field> fields = {
          {"loss", member.label()},
          {"seed", std::to_string(member.info.seed), true},
          {"sample", std::to_string(indices[row]), true},
          {"true", class_names_[static_cast<std::size_t>(outputs.labels[row])]}};
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
Evaluation judge(detail::Outputs outputs, const ClassCounts& counts, const Scores& scores) {
  outputs.logits = outputs.logits.clone();
  const MatrixView<float> logits = outputs.view();
  scores.adjust(logits);
  return evaluate({logits.data, logits.rows, logits.columns}, outputs.labels, counts,
                  {.scale = scores.scale / scores.temperature});
}

TemperatureEffect effect_of(const detail::Outputs& outputs, const ClassCounts& counts, Scores scores,
                            const Evaluation& after, bool fitted) {
  const double temperature = std::exchange(scores.temperature, 1);
  const Evaluation before = judge(outputs, counts, scores);
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
  if (judged.class_names != split.class_names)
    throw Error(ErrorKind::data,
                fmt::format("'{}' has the classes {}, the run has {}; they must be the same", judged_options.data,
                            join(judged.class_names, ", "), join(split.class_names, ", ")));
  const bool own_test = options.address.empty() && !data.test;
  const std::vector<std::int64_t> indices = own_test ? split.test : detail::all_of(judged);

  std::optional<PredictionFile> predictions;
  if (!options.predictions.empty()) predictions.emplace(options.predictions, split.class_names);
  std::vector<MemberEvaluation> evaluations;
  for (const detail::TrainedMember& member : members) {
    Classifier model = member.load();
    detail::place(model, placement);
    auto [scores, assumed] = adjuster.read(member, model);
    const detail::Outputs outputs =
        detail::outputs_of(model, member, judged, indices, static_cast<int>(run_options.loader_threads), placement);
    MemberEvaluation result{.loss = member.label(),
                            .seed = member.info.seed,
                            .evaluation = judge(outputs, counts, scores),
                            .assumed_prior = std::move(assumed),
                            .prior = adjuster.prior()};
    if (!result.prior.empty()) result.prior_accuracy = accuracy_under(result.evaluation, result.prior);
    if (adjuster.has_temperature())
      result.temperature = effect_of(outputs, counts, scores, result.evaluation, adjuster.fits());
    if (predictions) predictions->add(member, outputs, scores, indices);
    evaluations.push_back(std::move(result));
  }
  if (predictions) predictions->commit();
  return evaluations;
}

}  // namespace ulmus
