#include "cli/apply_verbs.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "cli/verbs.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/apply.hpp"

namespace ulmus::cli {
namespace {

void print_line(const std::string& text) { print(text + "\n"); }

/// Which members of which run, and how they are opened.
struct Selection {
  std::string run, loss;
  std::int64_t seed = -1;
  std::string trusted, device;
};

void add_selection(CLI::App& verb, Selection& selection) {
  verb.add_option("--run", selection.run, "run folder")->required();
  verb.add_option("--loss", selection.loss, "only this loss of the run");
  add_number(verb, "--seed", selection.seed, "only this seed of the run");
  add_use_options(verb, selection.trusted, selection.device);
}

void check_selection(const CLI::App& verb, const Selection& selection) {
  if (verb.get_option("--seed")->count() > 0 && selection.seed < 0)
    throw Error(ErrorKind::usage, fmt::format("--seed is {}, expected at least 0", selection.seed));
}

RunOptions options_of(const Selection& selection, const std::string& data_root = "") {
  return run_options_for_use(selection.run, selection.trusted, selection.device, data_root);
}

/// 0: as the run has it.
void add_max_pixels(CLI::App& verb, std::int64_t& pixels) {
  add_number(verb, "--max-pixels", pixels, "refuse image files that declare more pixels; default: that of the run");
}

void add_adjustment(CLI::App& verb, Adjustment& adjustment) {
  verb.add_option("--posthoc", adjustment.posthoc,
                  "adjust the trained model: none, la:tau=T, mla:tau=T or tau-norm:tau=T")
      ->capture_default_str();
  verb.add_option(
      "--prior", adjustment.prior,
      "correct the probabilities for this class prior of the test data: uniform, train, p1,p2,... or a file "
      "with a number a line");
  verb.add_option("--temperature", adjustment.temperature,
                  "divide the logits by this, or 'auto': fit it on the validation part of the run");
}

/// An option that was given must say something.
void refuse_empty(const CLI::App& verb, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const CLI::Option* option = verb.get_option(name);
    if (option->count() > 0 && option->results().back().empty())
      throw Error(ErrorKind::usage, fmt::format("{} is empty; give it a value, or leave it out", name));
  }
}

Json to_json(const MemberEvaluation& result) {
  Json object = {{"loss", result.loss}, {"seed", result.seed}, {"evaluation", result.evaluation}};
  if (result.prior_accuracy)
    object["prior"] = {{"test", result.prior}, {"assumed", result.assumed_prior}, {"accuracy", *result.prior_accuracy}};
  if (const auto& t = result.temperature)
    object["temperature"] = {{"value", t->temperature}, {"fitted", t->fitted},         {"ece_before", t->ece_before},
                             {"ece", t->ece_after},     {"nll_before", t->nll_before}, {"nll", t->nll_after}};
  return object;
}

void print_table(const std::vector<MemberEvaluation>& results) {
  std::size_t width = 4;
  for (const MemberEvaluation& result : results) width = std::max(width, printable(result.loss).size());
  std::string head = fmt::format("{:<{}}  seed  samples  balanced  top-1  macro-F1  worst class    ECE", "loss", width);
  if (results[0].prior_accuracy) head += "  under prior";
  if (results[0].temperature) head += "  temperature   ECE before  NLL before     NLL";
  print_line(head);
  for (const MemberEvaluation& result : results) {
    const Evaluation& e = result.evaluation;
    std::string line = fmt::format("{:<{}}  {:>4}  {:>7}  {:>8.1f}  {:>5.1f}  {:>8.1f}  {:>11.1f}  {:>5.1f}",
                                   printable(result.loss), width, result.seed, e.samples, 100 * e.balanced_accuracy,
                                   100 * e.top1, 100 * e.macro_f1, 100 * e.worst_class, 100 * e.ece);
    if (result.prior_accuracy) line += fmt::format("  {:>11.1f}", 100 * *result.prior_accuracy);
    if (const auto& t = result.temperature)
      line += fmt::format("  {:>11.4g}  {:>11.1f}  {:>10.3f}  {:>6.3f}", t->temperature, 100 * t->ece_before,
                          t->nll_before, t->nll_after);
    print_line(line);
  }
}

void add_eval_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("eval", "judge the models of a run on its test part or on other data");
  struct Request {
    Selection selection;
    EvaluateOptions options;
    std::string data_root, predictions;
    std::int64_t max_pixels = 0;
    bool as_json = false, skip_bad = false;
  };
  const auto request = std::make_shared<Request>();
  add_selection(*verb, request->selection);
  verb->add_option("--data", request->options.address,
                   "other data with the same classes, e.g. folder:DIR; default: the run's own test part");
  verb->add_option("--data-root", request->data_root, "where named data sets lie");
  add_adjustment(*verb, request->options.adjustment);
  verb->add_option("--predictions", request->predictions,
                   "write a line a sample and member to this file: CSV, or JSON where it ends in .jsonl");
  verb->add_flag("--skip-bad", request->skip_bad,
                 "pass over images that cannot be decoded, and count them by the reason");
  add_max_pixels(*verb, request->max_pixels);
  verb->add_flag("--json", request->as_json, "print everything as JSON");
  verb->footer(
      "Example:\n  ulmus eval --run runs/birds --data folder:more\n  ulmus eval --run runs/birds --posthoc "
      "la:tau=1 --temperature auto");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    check_selection(*verb, request->selection);
    refuse_empty(*verb, {"--prior", "--temperature", "--predictions"});
    RunOptions run = options_of(request->selection, request->data_root);
    if (request->max_pixels != 0) run.max_pixels = request->max_pixels;
    if (request->skip_bad) run.skip_bad = true;
    request->options.loss = request->selection.loss;
    request->options.seed = request->selection.seed;
    request->options.predictions = request->predictions;
    const auto results = evaluate_run(request->selection.run, run, request->options);
    if (!request->as_json) return print_table(results);
    Json all = Json::array();
    for (const MemberEvaluation& result : results) all.push_back(to_json(result));
    print_line(Json{{"schema_version", k_result_schema_version}, {"results", all}}.dump(2));
  });
}

void add_predict_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("predict", "predict the classes of images or rows with a model of a run");
  struct Request {
    Selection selection;
    std::vector<std::string> paths;
    Adjustment adjustment;
    std::string data_root, format, out;
    std::int64_t top = 0, threads = 0, max_pixels = 0;
    bool skip_bad = false;
  };
  const auto request = std::make_shared<Request>();
  add_selection(*verb, request->selection);
  verb->add_option("PATH", request->paths,
                   "image files, and folders that are searched for them; for a run on csv: CSV files with its columns, "
                   "on npy: arrays of features")
      ->required();
  verb->add_option("--format", request->format, "csv or jsonl; default: jsonl where --out ends in .jsonl, else csv");
  CLI::Option* top = add_number(*verb, "--top", request->top, "only the K likeliest classes; default: all of them");
  verb->add_option("--out", request->out, "file for the predictions; default: standard output");
  add_adjustment(*verb, request->adjustment);
  verb->add_option("--data-root", request->data_root, "where named data sets lie, for --temperature auto");
  add_number(*verb, "--threads", request->threads, "threads that decode, and for the model; 0: all cores")
      ->default_str("0");
  add_max_pixels(*verb, request->max_pixels);
  verb->add_flag(
      "--skip-bad", request->skip_bad,
      "only count the images that are passed over because they cannot be used, by the reason; do not name them");
  verb->footer(
      "Example:\n  ulmus predict --run runs/birds photos/ --top 3 --out birds.csv\n  ulmus predict --run runs/table "
      "new.csv");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    check_selection(*verb, request->selection);
    refuse_empty(*verb, {"--prior", "--temperature", "--out", "--format"});
    if (top->count() > 0 && request->top < 1)
      throw Error(ErrorKind::usage, fmt::format("--top is {}, expected at least 1", request->top));
    RunOptions run = options_of(request->selection, request->data_root);
    if (request->max_pixels != 0) run.max_pixels = request->max_pixels;
    const PredictOptions options{.paths = {request->paths.begin(), request->paths.end()},
                                 .loss = request->selection.loss,
                                 .seed = request->selection.seed,
                                 .adjustment = request->adjustment,
                                 .format = request->format.empty() ? PredictionWriter::format_of(request->out)
                                                                   : PredictionWriter::parse_format(request->format),
                                 .top = request->top,
                                 .threads = static_cast<int>(std::clamp<std::int64_t>(request->threads, -1, 257))};
    std::optional<AtomicFile> file;
    PredictHooks hooks{.write =
                           [&](std::string_view text) {
                             if (request->out.empty()) {
                               print(text);
                               return;
                             }
                             if (!file) file.emplace(request->out);
                             file->write(text);
                           },
                       .stop = stop_requested};
    if (!request->skip_bad)
      hooks.failed = [](const std::string& failure) {
        say(fmt::format("ulmus: passed over: {}\n", printable(failure, k_long_text)));
      };
    hooks.note = [](const std::string& note) { say(fmt::format("ulmus: note: {}\n", printable(note, k_long_text))); };
    const Orderly orderly("interrupted");
    const PredictResult result = predict_run(request->selection.run, run, options, hooks);
    if (file) file->commit();
    for (const std::string& note : result.notes) say(fmt::format("ulmus: {}\n", note));
    say(fmt::format(
        "ulmus: {} {} predicted by {} seed {}{}\n", result.predicted,
        result.of_features ? (result.predicted == 1 ? "row" : "rows") : (result.predicted == 1 ? "image" : "images"),
        result.loss, result.seed,
        result.failed.empty() ? ""
                              : fmt::format(", {} passed over ({})", result.failed.total(), result.failed.text())));
  });
}

void add_export_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("export", "write a model of a run for other programs");
  struct Request {
    Selection selection;
    std::string format, out;
  };
  const auto request = std::make_shared<Request>();
  add_selection(*verb, request->selection);
  verb->add_option("--format", request->format,
                   "safetensors: the weights; torchscript: the whole model, images in [0, 1] to probabilities")
      ->required();
  verb->add_option("--out", request->out, "file to write")->required();
  verb->footer("Example:\n  ulmus export --run runs/birds --format torchscript --out birds.pt");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    check_selection(*verb, request->selection);
    refuse_empty(*verb, {"--out"});
    const ExportFormat format = parse_export_format(request->format);
    const ExportResult result = export_run(
        request->selection.run, options_of(request->selection),
        {.loss = request->selection.loss, .seed = request->selection.seed, .format = format, .out = request->out});
    print_line(
        fmt::format("{}: {} seed {} as {}, {} bytes; read back, its probabilities of random images differ by at "
                    "most {:.2g}",
                    request->out, result.loss, result.seed, request->format, result.bytes, result.max_difference));
  });
}

}  // namespace

void add_apply_verbs(CLI::App& program) {
  add_eval_verb(program);
  add_predict_verb(program);
  add_export_verb(program);
}

}  // namespace ulmus::cli
