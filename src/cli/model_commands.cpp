#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus::cli {
namespace {

void print_line(const std::string& text) { print(text + "\n"); }

/// The options that select the run and its models for eval, predict and export.
struct Request {
  std::string run;
  ModelSelection models;
  UseOptions use;
  AdjustmentOptions adjustment;
  std::optional<std::int64_t> max_pixels;
};

void add_selection(CLI::App& command, Request& request) {
  command.add_option("--run", request.run, "run folder")->required();
  command.add_option("--loss", request.models.loss, "only this loss of the run");
  add_number(command, "--seed", request.models.seed, "only this seed of the run");
  add_use_options(command, request.use);
}

void add_max_pixels(CLI::App& command, Request& request) {
  add_count(command, "--max-pixels", request.max_pixels,
            "refuse image files that declare more pixels; default: that of the run");
}

void add_adjustment(CLI::App& command, AdjustmentOptions& adjustment) {
  add_parsed(
      command, "--posthoc", [&](const std::string& text) { adjustment.posthoc = PostHoc::parse(text); },
      "adjust the trained model: none, la:tau=T, mla:tau=T or tau-norm:tau=T")
      ->default_str("none");
  add_parsed(
      command, "--prior", [&](const std::string& text) { adjustment.prior = text; },
      "correct the probabilities for this class prior of the test data: uniform, train, p1,p2,... or a file "
      "with one number a line");
  add_parsed(
      command, "--temperature",
      [&](const std::string& text) {
        adjustment.fit_temperature = text == "auto";
        if (adjustment.fit_temperature) return;
        adjustment.temperature = parse_number(text, "--temperature, a number or 'auto',");
        if (*adjustment.temperature <= 0)
          throw Error(ErrorKind::usage, fmt::format("--temperature is {}, expected a number above 0 or auto", text));
      },
      "divide the logits by this, or 'auto': fit it on the validation part of the run");
}

RunOptions options_of(const Request& request) {
  RunOptions options = run_options_for_use(request.run, request.use);
  if (request.max_pixels) options.max_pixels = *request.max_pixels;
  return options;
}

Json to_json(const ModelEvaluation& result) {
  Json object = {{"loss", result.loss}, {"seed", result.seed}, {"evaluation", result.evaluation}};
  if (result.prior_accuracy)
    object["prior"] = {{"test", result.prior}, {"assumed", result.assumed_prior}, {"accuracy", *result.prior_accuracy}};
  if (const auto& t = result.temperature)
    object["temperature"] = {{"value", t->temperature}, {"fitted", t->fitted},         {"ece_before", t->ece_before},
                             {"ece", t->ece_after},     {"nll_before", t->nll_before}, {"nll", t->nll_after}};
  return object;
}

/// A fraction as percent, "-" if absent.
std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.1f}", 100 * *fraction) : "-";
}

void print_table(const std::vector<ModelEvaluation>& results) {
  std::size_t width = 4;
  for (const ModelEvaluation& result : results) width = std::max(width, printable(result.loss).size());
  std::string head = fmt::format("{:<{}}  seed  samples  balanced  top-1  macro-F1  worst class    ECE", "loss", width);
  const bool two_classes = results[0].evaluation.classes.size() == 2;
  if (two_classes) head += "     MCC  average precision  ROC AUC  Brier";
  if (results[0].prior_accuracy) head += "  under prior";
  if (results[0].temperature) head += "  temperature   ECE before  NLL before     NLL";
  print_line(head);
  for (const ModelEvaluation& result : results) {
    const Evaluation& e = result.evaluation;
    std::string line = fmt::format("{:<{}}  {:>4}  {:>7}  {:>8.1f}  {:>5.1f}  {:>8.1f}  {:>11.1f}  {:>5.1f}",
                                   printable(result.loss), width, result.seed, e.samples, 100 * e.balanced_accuracy,
                                   100 * e.top1, 100 * e.macro_f1, 100 * e.worst_class, 100 * e.ece);
    if (two_classes)
      line += fmt::format("  {:>6.3f}  {:>17}  {:>7}  {:>5.3f}", e.mcc.value_or(0), percent(e.average_precision),
                          percent(e.roc_auc), e.brier.value_or(0));
    if (result.prior_accuracy) line += fmt::format("  {:>11.1f}", 100 * *result.prior_accuracy);
    if (const auto& t = result.temperature)
      line += fmt::format("  {:>11.4g}  {:>11.1f}  {:>10.3f}  {:>6.3f}", t->temperature, 100 * t->ece_before,
                          t->nll_before, t->nll_after);
    print_line(line);
  }
}

void add_eval_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("eval", "evaluate the models of a run on its test part or on other data");
  struct EvalRequest : Request {
    std::optional<std::string> address;
    std::optional<std::filesystem::path> predictions;
    bool as_json = false, skip_bad = false;
  };
  const auto request = std::make_shared<EvalRequest>();
  add_selection(*command, *request);
  command->add_option("--data", request->address,
                      "other data with the same classes, e.g. folder:DIR; default: the run's own test part");
  add_data_root(*command, request->use, "where named data sets lie");
  add_adjustment(*command, request->adjustment);
  add_parsed(
      *command, "--predictions", [=](const std::string& text) { request->predictions = text; },
      "write one line for each sample and model to this file: CSV, or JSON where it ends in .jsonl");
  command->add_flag("--skip-bad", request->skip_bad,
                    "skip images that cannot be decoded, and count them by the reason");
  add_max_pixels(*command, *request);
  command->add_flag("--json", request->as_json, "print everything as JSON");
  command->footer(
      "Example:\n  ulmus eval --run runs/birds --data folder:more\n  ulmus eval --run runs/birds --posthoc "
      "la:tau=1 --temperature auto");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    RunOptions run = options_of(*request);
    if (request->skip_bad) run.skip_bad = true;
    const auto results = evaluate_run(request->run, run,
                                      {.address = request->address,
                                       .models = request->models,
                                       .adjustment = request->adjustment,
                                       .predictions = request->predictions});
    if (!request->as_json) return print_table(results);
    Json all = Json::array();
    for (const ModelEvaluation& result : results) all.push_back(to_json(result));
    print_line(Json{{"schema_version", k_result_schema_version}, {"results", all}}.dump(2));
  });
}

void add_predict_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("predict", "predict the classes of images or rows with a model of a run");
  struct PredictRequest : Request {
    std::vector<std::string> paths;
    std::optional<PredictionWriter::Format> format;
    std::optional<std::filesystem::path> out;
    std::optional<std::int64_t> top, threads;
    bool skip_bad = false;
  };
  const auto request = std::make_shared<PredictRequest>();
  add_selection(*command, *request);
  command
      ->add_option("PATH", request->paths,
                   "image files, and folders that are searched for them; for a run on csv: CSV files with its columns, "
                   "on npy: arrays of features")
      ->required();
  add_parsed(
      *command, "--format", [=](const std::string& text) { request->format = PredictionWriter::parse_format(text); },
      "csv or jsonl; default: jsonl where --out ends in .jsonl, else csv");
  add_number(*command, "--top", request->top, "only the K most likely classes; default: all of them");
  add_parsed(
      *command, "--out", [=](const std::string& text) { request->out = text; },
      "file for the predictions; default: standard output");
  add_adjustment(*command, request->adjustment);
  add_data_root(*command, request->use, "where named data sets lie, for --temperature auto");
  add_count(*command, "--threads", request->threads, "threads that decode, and for the model; default: all cores");
  add_max_pixels(*command, *request);
  command->add_flag("--skip-bad", request->skip_bad,
                    "only count the images that are skipped because they cannot be used, by the reason; do not name "
                    "them");
  command->footer(
      "Example:\n  ulmus predict --run runs/birds photos/ --top 3 --out birds.csv\n  ulmus predict --run runs/table "
      "new.csv");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    if (request->top && *request->top < 1)
      throw Error(ErrorKind::usage, fmt::format("--top is {}, expected at least 1", *request->top));
    const PredictOptions options{
        .paths = {request->paths.begin(), request->paths.end()},
        .model = request->models,
        .adjustment = request->adjustment,
        .format = request->format.value_or(PredictionWriter::format_of(request->out.value_or(""))),
        .top = request->top,
        .threads = request->threads};
    std::optional<AtomicFile> file;
    PredictHooks hooks{.write =
                           [&](std::string_view text) {
                             if (!request->out) {
                               print(text);
                               return;
                             }
                             if (!file) file.emplace(*request->out);
                             file->write(text);
                           },
                       .stop = stop_requested};
    if (!request->skip_bad)
      hooks.failed = [](const std::string& failure) {
        print_stderr(fmt::format("ulmus: skipped: {}\n", printable(failure, k_long_text)));
      };
    hooks.note = [](const std::string& note) {
      print_stderr(fmt::format("ulmus: note: {}\n", printable(note, k_long_text)));
    };
    const GracefulStop graceful("interrupted");
    const PredictResult result = predict_run(request->run, options_of(*request), options, hooks);
    if (file) file->commit();
    for (const std::string& note : result.notes) print_stderr(fmt::format("ulmus: {}\n", note));
    const bool one = result.predicted == 1;
    print_stderr(fmt::format(
        "ulmus: {} {} predicted by {} seed {}{}\n", result.predicted,
        result.of_features ? (one ? "row" : "rows") : (one ? "image" : "images"), result.loss, result.seed,
        result.failed.empty() ? "" : fmt::format(", {} skipped ({})", result.failed.total(), result.failed.text())));
  });
}

void add_export_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("export", "write a model of a run for other programs");
  struct ExportRequest : Request {
    std::string format_name, out;
  };
  const auto request = std::make_shared<ExportRequest>();
  add_selection(*command, *request);
  command
      ->add_option(
          "--format", request->format_name,
          "safetensors: the weights; torchscript: the whole model, images in [0, 1] to probabilities; xgboost: "
          "trees, as XGBoost's JSON")
      ->required();
  add_parsed(
      *command, "--out", [=](const std::string& text) { request->out = text; }, "file to write")
      ->required();
  command->footer("Example:\n  ulmus export --run runs/birds --format torchscript --out birds.pt");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    const ExportFormat format = parse_export_format(request->format_name);
    const ExportResult result = export_run(request->run, options_of(*request),
                                           {.model = request->models, .format = format, .out = request->out});
    print_line(fmt::format(
        "{}: {} seed {} as {}, {} bytes; read back, its probabilities of random {} differ by at most {:.2g}",
        request->out, result.loss, result.seed, request->format_name, result.bytes,
        format == ExportFormat::xgboost ? "rows" : "images", result.max_difference));
    if (result.beside)
      print_line(fmt::format("{}: its classes, columns and prior", printable(result.beside->string(), k_long_text)));
  });
}

}  // namespace

void add_model_commands(CLI::App& program) {
  add_eval_command(program);
  add_predict_command(program);
  add_export_command(program);
}

}  // namespace ulmus::cli
