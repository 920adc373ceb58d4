#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/class_values.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/score_file.hpp"
#include "ulmus/eval/predictions.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/report/adjustment.hpp"

namespace ulmus::cli {
namespace {

constexpr std::int64_t k_most_resamples = 100000;

struct AdjustRequest {
  std::string scores;
  std::optional<std::string> counts, label, fit, cost, positive, prior, trained_prior, out, report;
  std::vector<std::string> carry;
  PostHoc posthoc;
  std::optional<double> temperature, threshold;
  bool fit_temperature = false, logits = false, as_json = false;
  std::optional<ThresholdMetric> maximise;
  std::int64_t resamples = 1000;
  std::uint64_t seed = 0;

  bool corrects() const {
    return prior || posthoc.kind != PostHoc::Kind::none || temperature || fit_temperature || threshold || maximise ||
           cost;
  }
};

void parse_threshold(AdjustRequest& request, const std::string& text) {
  constexpr std::string_view maximise = "maximise:";
  if (text.starts_with(maximise)) {
    request.maximise = ThresholdMetric::parse(std::string_view(text).substr(maximise.size()));
    return;
  }
  try {
    request.threshold = parse_number(text, "");
  } catch (const Error&) {
    throw_usage(
        fmt::format("--threshold is '{}', expected a probability, or maximise: and one of f1, mcc, balanced, "
                    "cost, recall@precision=0.9",
                    printable(text)));
  }
}

/// Options that cannot apply, before any file is read.
void check(const AdjustRequest& request) {
  if (!request.corrects() && !request.counts)
    throw_usage(
        "nothing to do; give --counts FILE, the training samples of each class, to correct for equally frequent "
        "classes, or --temperature, --threshold or --cost");
  if (!request.label && (request.report || request.as_json))
    throw_usage(fmt::format("{} needs labels; give --label COLUMN", request.report ? "--report" : "--json"));
  if (!request.label && !request.out)
    throw_usage(
        "there is nothing to measure without labels; give --label COLUMN, or --out FILE for the adjusted "
        "predictions");
  const bool fits = request.fit_temperature || request.maximise;
  if (request.fit && !fits)
    throw_usage(
        "--fit is given, but nothing is fitted; add --temperature auto or --threshold maximise:balanced, or "
        "leave it out");
  std::error_code missing;
  if (request.fit && std::filesystem::equivalent(*request.fit, request.scores, missing))
    throw_usage(
        "--fit is the file that is measured; what is fitted there looks better than it is, so give other scores");
  if (request.fit && !request.label) throw_usage("--fit needs labels; give --label COLUMN");
  if (fits && !request.fit)
    throw_usage(
        "--temperature auto and --threshold maximise:METRIC are fitted on data that the model was not trained "
        "on; give --fit FILE, scores with labels");
  if (request.prior == "train" && !request.counts)
    throw_usage("--prior train needs the training counts; give --counts FILE");
  if (request.trained_prior && !request.prior && !request.temperature && !request.fit_temperature)
    throw_usage("--trained-prior is for --prior and --temperature; give one of them, or leave it out");
  if (request.resamples < 0 || request.resamples > k_most_resamples)
    throw_usage(fmt::format("--resamples is {}, expected 0 to {}", request.resamples, k_most_resamples));
}

/// The file's scores as log probabilities, with its labels.
LabelledScores logs_of(ScoreFile& file, bool logits) {
  const ScoreNames names{.classes = file.class_names, .row = [&](std::int64_t row) { return file.place(row); }};
  ScoreMatrix scores{.classes = std::ssize(file.class_names), .values = std::move(file.scores)};
  return {.logs = log_scores(std::move(scores), logits, names), .labels = std::move(file.labels)};
}

std::optional<ClassValues> read_counts(const AdjustRequest& request) {
  if (!request.counts) return std::nullopt;
  ClassValues counts = read_class_values(*request.counts);
  if (counts.lines.empty())
    throw Error(ErrorKind::data, fmt::format("'{}' has no counts; write a line name,count for each class",
                                             printable(*request.counts, k_long_text)));
  return counts;
}

ScoreFile read_file_of_scores(const AdjustRequest& request, const std::optional<ClassValues>& counts) {
  ScoreFileOptions options{.label = request.label.value_or(""),
                           .label_is_optional = request.fit && request.out && !request.report && !request.as_json,
                           .carry = request.carry};
  if (counts && counts->named) {
    for (const ClassValues::Line& line : counts->lines) options.classes.push_back(line.name);
    options.classes_from = fmt::format("'{}'", *request.counts);
  }
  return read_scores(request.scores, options);
}

/// The validation scores, with the classes in the order of the other file.
LabelledScores read_validation(const AdjustRequest& request, const std::vector<std::string>& classes) {
  ScoreFile file = read_scores(*request.fit, {.label = *request.label,
                                              .classes = classes,
                                              .classes_from = fmt::format("'{}'", request.scores),
                                              .ignore_others = true});
  return logs_of(file, request.logits);
}

/// The class that is asked about, of two: the one that is named, the rarer one, or the second.
std::optional<std::int64_t> positive_of(const AdjustRequest& request, const std::vector<std::string>& classes,
                                        const std::optional<ClassCounts>& counts) {
  if (request.positive) {
    const NameIndex index(classes);
    const auto found = index.find(*request.positive);
    if (!found)
      throw_usage(
          fmt::format("--positive '{}' is no class{}", printable(*request.positive), index.advice(*request.positive)));
    return found;
  }
  if (classes.size() != 2 || !counts) return std::nullopt;
  return (*counts)[0] < (*counts)[1] ? 0 : 1;
}

AdjustmentPlan plan_of(const AdjustRequest& request, const std::vector<std::string>& classes,
                       const std::optional<ClassValues>& values) {
  AdjustmentPlan plan{.class_names = classes,
                      .posthoc = request.posthoc,
                      .temperature = request.temperature,
                      .fit_temperature = request.fit_temperature,
                      .threshold = request.threshold,
                      .maximise = request.maximise};
  if (values) plan.train_counts.emplace(counts_in_class_order(*values, classes), classes);
  // A prior in numbers needs the names only.
  const ClassCounts named =
      plan.train_counts ? *plan.train_counts : ClassCounts(std::vector<std::int64_t>(classes.size(), 1), classes);
  const bool needs_trained_prior =
      request.prior || request.temperature || request.fit_temperature || !request.corrects();
  if (request.trained_prior)
    plan.trained_prior = parse_prior(*request.trained_prior, named);
  else if (plan.train_counts && needs_trained_prior)
    plan.trained_prior = parse_prior("train", named);
  if (request.prior)
    plan.prior = parse_prior(*request.prior, named);
  else if (!request.corrects())
    plan.prior = parse_prior("uniform", named);
  if (request.cost)
    plan.costs = CostMatrix{.classes = std::ssize(classes), .values = read_class_matrix(*request.cost, classes)};
  plan.positive = positive_of(request, classes, plan.train_counts);
  return plan;
}

/// Writes the adjusted probabilities and decisions, with the columns that are carried along.
void write_predictions(const std::filesystem::path& path, const ScoreFile& file, const Decisions& decisions) {
  const PredictionWriter writer(PredictionWriter::format_of(path), file.class_names, 0);
  AtomicFile out(path);
  std::vector<std::string> names = {"row"};
  names.insert(names.end(), file.carried_names.begin(), file.carried_names.end());
  out.write(writer.header(names));
  const ScoreMatrix p = probabilities(decisions.logs);
  std::vector<PredictionWriter::Field> fields(names.size());
  for (std::int64_t i = 0; i < file.rows(); ++i) {
    fields[0] = {.name = "row", .value = std::to_string(i), .is_number = true};
    for (std::size_t k = 1; k < names.size(); ++k)
      fields[k] = {.name = names[k], .value = file.carried[static_cast<std::size_t>(i) * (names.size() - 1) + k - 1]};
    out.write(writer.line(fields, p.row(i), decisions.predicted[static_cast<std::size_t>(i)]));
  }
  out.commit();
}

void run(const AdjustRequest& request) {
  check(request);
  const std::optional<ClassValues> counts = read_counts(request);
  ScoreFile file = read_file_of_scores(request, counts);
  const AdjustmentPlan plan = plan_of(request, file.class_names, counts);
  std::optional<LabelledScores> validation;
  if (request.fit) validation = read_validation(request, file.class_names);
  const LabelledScores scores = logs_of(file, request.logits);
  const ScoreAdjustment adjustment(plan, validation ? &*validation : nullptr);

  Decisions after{.logs = adjustment.apply(scores.logs)};
  after.predicted = adjustment.predict(after.logs);
  if (scores.labels.empty()) {
    write_predictions(*request.out, file, after);
    if (request.label)
      print_stderr(fmt::format("ulmus: '{}' has no column '{}', so nothing is measured\n",
                               printable(request.scores, k_long_text), printable(*request.label)));
    for (const std::string& step : adjustment.steps()) print(step + "\n");
    return;
  }
  const Decisions before{.logs = scores.logs, .predicted = most_probable(scores.logs)};
  ComparisonOptions options{
      .positive = plan.positive, .costs = plan.costs, .resamples = request.resamples, .seed = request.seed};
  if (plan.maximise && plan.maximise->kind == ThresholdMetric::Kind::recall_at_precision)
    options.precision = plan.maximise->precision;
  const ScoreComparison comparison = compare_scores(before, after, scores.labels, options);
  const AdjustmentReport report{
      .scores = request.scores, .validation = request.fit, .adjustment = adjustment, .comparison = comparison};
  if (request.out) write_predictions(*request.out, file, after);
  if (request.report) write_file(*request.report, adjustment_html(report));
  print(request.as_json ? to_json(report) : adjustment_table(report));
}

}  // namespace

void add_adjust_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "adjust", "correct the probabilities of any tool for rare classes, other frequencies and costs");
  const auto request = std::make_shared<AdjustRequest>();
  AdjustRequest& r = *request;
  command->add_option("scores", r.scores, "CSV with a column of scores for every class")->required();
  command->add_option("--counts", r.counts,
                      "training samples of each class: a file with lines name,count. Without other options the scores "
                      "are corrected for equally frequent classes");
  command->add_option("--label", r.label, "column of the true classes, to measure what the adjustment does");
  command->add_flag("--logits", r.logits, "the scores are logits, not probabilities");
  command->add_option("--carry", r.carry, "a column that is no score and is copied to --out; may be repeated")
      ->type_size(1)
      ->expected(1);
  command->add_option(
      "--prior", r.prior,
      "correct for these class frequencies: uniform, train (those of --counts), p1,p2,... in the order of --counts or, "
      "without it, of the columns, or a file with lines name,number");
  command->add_option(
      "--trained-prior", r.trained_prior,
      "the class frequencies that the scores assume, in the same form; default: those of --counts. 'uniform' "
      "after class weights 'balanced'");
  add_parsed(
      *command, "--posthoc", [&r](const std::string& text) { r.posthoc = PostHoc::parse(text); },
      "logit adjustment, la:tau=T: divide by the training frequencies to the power T");
  add_parsed(
      *command, "--temperature",
      [&r](const std::string& text) {
        r.fit_temperature = text == "auto";
        if (r.fit_temperature) return;
        r.temperature = parse_number(text, "--temperature, a number or 'auto',");
        if (*r.temperature <= 0)
          throw_usage(fmt::format("--temperature is {}, expected a number above 0 or auto", text));
      },
      "divide what the sample says by this, or 'auto': fit it on --fit");
  add_parsed(
      *command, "--threshold", [&r](const std::string& text) { parse_threshold(r, text); },
      "maximise:METRIC fits a threshold (an offset for each of more than two classes) on --fit; f1, mcc, balanced, "
      "cost "
      "or recall@precision=0.9. Or, for two classes, the probability above which --positive is predicted");
  command->add_option(
      "--cost", r.cost,
      "costs of mistakes: a CSV matrix with class names, a row for each true class. Without --threshold "
      "the class of least expected cost is predicted");
  command->add_option("--positive", r.positive,
                      "the class of f1, recall@precision and a threshold; default: the rarer of two by --counts, else "
                      "the second; for f1 of more the macro mean");
  command->add_option("--fit", r.fit, "scores with labels that the model was not trained on, to fit on");
  command->add_option("--out", r.out, "file for the adjusted predictions: CSV, or JSON lines where it ends in .jsonl");
  command->add_option("--report", r.report, "file for a page, HTML");
  command->add_flag("--json", r.as_json, "print everything as JSON");
  add_number(*command, "--resamples", r.resamples, "bootstrap samples of the intervals; 0: no intervals")
      ->default_str("1000");
  add_number(*command, "--seed", r.seed, "seed of the bootstrap samples")->default_str("0");
  command->footer(
      "Example:\n  ulmus adjust scores.csv --label y --counts train_counts.csv --report adjusted.html\n  ulmus adjust "
      "scores.csv --label y --threshold maximise:f1 --fit validation.csv --out predicted.csv");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    run(*request);
  });
}

}  // namespace ulmus::cli
