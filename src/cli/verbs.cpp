#include "cli/verbs.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli/apply_verbs.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/bench/bench.hpp"
#include "ulmus/data/inspection.hpp"
#include "ulmus/loss/describe.hpp"
#include "ulmus/report/class_counts_chart.hpp"
#include "ulmus/report/report.hpp"
#include "ulmus/train/proposal.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus::cli {
namespace {

namespace fs = std::filesystem;

void print_line(const std::string& text) { print(text + "\n"); }

bool to_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

/// What `train` and `compare` are asked beside the options of the run.
struct RunRequest {
  RunOptions options;
  std::string out;
  std::string resume;
  std::string trusted;  ///< of --trust-model
  bool as_json = false;
  bool dry_run = false;
  bool quiet = false;
};

/// runs/compare-1, or the first number that is free.
fs::path free_folder(const std::string& verb) {
  for (int i = 1;; ++i) {
    const fs::path folder = fmt::format("runs/{}-{}", verb, i);
    if (!fs::exists(folder)) return folder;
  }
}

std::string describe(const Plan& plan) {
  const Dataset& data = plan.data.train;
  const RunOptions& options = plan.options;
  const std::int64_t test = plan.data.test ? plan.data.test->size() : static_cast<std::int64_t>(plan.split.test.size());
  const std::string shape =
      data.is_features() ? fmt::format("{} features", data.shape().channels)
                         : fmt::format("{}x{}x{}", data.shape().channels, data.shape().height, data.shape().width);
  std::string text = fmt::format("data    {}: {} classes, {} to train (ratio {:.4g}), {} to test, {}\n",
                                 printable(data.name(), k_long_text), data.classes(), plan.split.train.size(),
                                 plan.counts.imbalance_ratio(), test, shape);
  for (const std::string& note : all_notes(plan.data)) text += fmt::format("        {}\n", note);
  if (!plan.split.validation.empty())
    text += fmt::format("        {} held out to validate\n", plan.split.validation.size());
  if (!plan.columns.empty()) text += "columns\n" + to_text(plan.columns, "        ");
  text += fmt::format("model   {}, {} {}, batch {}, {} schedule from {}, augmentation {}\n", options.model,
                      options.epochs, options.epochs == 1 ? "epoch" : "epochs", options.batch_size, options.schedule,
                      format_number(options.lr), options.augment);
  std::vector<std::string> more;
  if (options.optimizer != "sgd") more.push_back(options.optimizer);
  if (!options.weights.empty()) more.push_back(fmt::format("weights from {}", options.weights));
  if (options.freeze == "backbone") more.push_back("backbone frozen");
  if (options.clip > 0) more.push_back(fmt::format("gradients clipped to {}", format_number(options.clip)));
  if (options.ema > 0) more.push_back(fmt::format("moving average of the weights {}", format_number(options.ema)));
  if (options.device != "cpu") more.push_back("on " + options.device);
  if (options.channels_last) more.push_back("channels last");
  if (options.autocast != "none") more.push_back("backbone in " + options.autocast);
  if (!more.empty()) text += fmt::format("        {}\n", join(more, ", "));
  for (const RunMember& member : plan.members) {
    if (member.seed != options.seed) break;
    text += fmt::format("loss    {}: {} head", member.loss.text(), name_of(member.head));
    if (const auto start = member.loss.start_epoch(options.epochs); start > 0)
      text += fmt::format(", plain cross entropy before epoch {} of {}", start + 1, options.epochs);
    if (member.loss.deferred())
      text += fmt::format(", {} from epoch {} of {}", member.loss.resamples() ? "balanced sampling" : "class weights",
                          member.loss.rule_epoch(options.epochs) + 1, options.epochs);
    if (const Key* key = member.loss.automatic()) {
      std::vector<std::string> at;
      for (const auto epoch : member.loss.choice_epochs(options.epochs)) at.push_back(std::to_string(epoch + 1));
      text += fmt::format(", {} chosen before epoch {} of {}", key->name, join(at, " and "), options.epochs);
    }
    text += fmt::format(", {} parameters\n", member.parameters);
  }
  const std::size_t losses = plan.members.size() / static_cast<std::size_t>(options.seeds);
  text += fmt::format("runs    {} ({} {} x {} {}), {} at a time with {} {} each\n", plan.members.size(), losses,
                      losses == 1 ? "loss" : "losses", options.seeds, options.seeds == 1 ? "seed" : "seeds",
                      options.jobs, options.threads, options.threads == 1 ? "thread" : "threads");
  return text;
}

Json plan_json(const Plan& plan, const fs::path& folder) {
  Json members = Json::array();
  for (const RunMember& member : plan.members)
    members.push_back({{"loss", member.loss.text()},
                       {"seed", member.seed},
                       {"head", std::string(name_of(member.head))},
                       {"parameters", member.parameters}});
  Json options = Json::object();
  visit_options(plan.options, [&](const char* name, const auto& value, const char*) { options[name] = value; });
  return {{"out", folder.string()},
          {"options", options},
          {"train_counts", plan.split.train_counts},
          {"class_names", plan.split.class_names},
          {"split_sha256", plan.split.sha256},
          {"columns", Json::parse(to_json(plan.columns))},
          {"notes", all_notes(plan.data)},
          {"skipped", plan.data.skipped.total()},
          {"skipped_by_reason", plan.data.skipped.counts()},
          {"members", members}};
}

void print_result(const fs::path& folder, const Summary& summary, bool as_json) {
  if (as_json) {
    print(to_json(summary));
    return;
  }
  print("\n" + terminal_table(summary, {.colour = to_terminal()}));
  print_line(fmt::format("\nreport: {}",
                         printable(fs::absolute(folder / "report.html").lexically_normal().string(), k_long_text)));
}

/// A TorchScript file is code: it is loaded where `--model` or `--trust-model` was typed, never because a folder says
/// so.
void use_script(RunRequest& request, bool resume) {
  const std::string kind = "torchscript:";
  const std::string& model = request.options.model;
  if (!request.trusted.empty() && !model.starts_with(kind))
    throw Error(ErrorKind::usage,
                fmt::format("--trust-model cannot apply: model '{}' is no TorchScript file; leave it out", model));
  request.options.model_file = request.trusted;
  if (!resume && request.trusted.empty() && model.starts_with(kind))
    request.options.model_file = model.substr(kind.size());
}

void run(const std::string& verb, RunRequest request) {
  const bool resume = !request.resume.empty();
  if (resume) request.options = read_run_options(request.resume);
  use_script(request, resume);
  const fs::path folder = resume                ? fs::path(request.resume)
                          : request.out.empty() ? free_folder(verb)
                                                : fs::path(request.out);
  if (!resume) require_free(folder);
  if (verb == "train" && !resume && parse_losses(request.options.losses).size() > 1)
    throw Error(ErrorKind::usage,
                fmt::format("'ulmus train' trains one loss, but '{}' came; use 'ulmus compare' for several",
                            request.options.losses));
  // A run that was begun keeps its order of classes.
  const Plan plan =
      plan_run(request.options, resume ? read_split(folder / "split.json").class_names : std::vector<std::string>{});
  if (request.dry_run) {
    if (request.as_json)
      print_line(plan_json(plan, folder).dump(2));
    else
      print(describe(plan) +
            fmt::format("would write {}; nothing was trained (--dry-run)\n", printable(folder.string(), k_long_text)));
    return;
  }
  if (!request.quiet) say(describe(plan));
  try {
    const Orderly orderly(
        fmt::format("interrupted; go on with 'ulmus {} --resume {}'", verb, shell_quoted(folder.string())));
    ProgressPrinter progress(request.quiet);
    execute(plan, folder, verb, {.progress = std::ref(progress), .stop = stop_requested}, resume);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    if (!fs::exists(folder / "config.toml"))
      throw Error(error.kind(), fmt::format("{}; no epoch was finished, so nothing is kept", error.what()));
    throw Error(error.kind(), fmt::format("{}; go on with 'ulmus {} --resume {}'", error.what(), verb,
                                          shell_quoted(folder.string())));
  }
  print_result(folder, write_report(folder), request.as_json);
}

void add_run_verb(CLI::App& program, const std::string& name, const std::string& help, const std::string& example,
                  RunOptions defaults) {
  CLI::App* verb = program.add_subcommand(name, help);
  const auto request = std::make_shared<RunRequest>();
  request->options = std::move(defaults);
  add_run_options(*verb, request->options);
  CLI::Option* out = verb->add_option("--out", request->out,
                                      fmt::format("folder for the run; default: the next free runs/{}-N", name));
  CLI::Option* resume =
      verb->add_option("--resume", request->resume, "go on with the run in this folder; every other option is its own");
  verb->add_option("--config",
                   "read options from a TOML file, e.g. the config.toml of a run; options given beside it win");
  add_trust(*verb, request->trusted);
  verb->add_flag("--json", request->as_json, "print the summary as JSON on standard output");
  verb->add_flag("--dry-run", request->dry_run, "check everything and show the plan, train and write nothing");
  verb->add_flag("--quiet", request->quiet, "no plan and no progress");
  verb->footer(example);
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    if (resume->count() > 0)
      for (const CLI::Option* option : verb->get_options())
        if (option->count() > 0 && option != resume && !option->check_name("--json") &&
            !option->check_name("--quiet") && !option->check_name("--dry-run") && !option->check_name("--trust-model"))
          throw Error(
              ErrorKind::usage,
              fmt::format("{} cannot change a run that is resumed; leave it out, or start a new run with '--config "
                          "{}/config.toml {} ... --out NEW'",
                          option->get_name(), request->resume, option->get_name()));
    for (const auto& [option, folder] : {std::pair(out, request->out), std::pair(resume, request->resume)})
      if (option->count() > 0 && folder.empty())
        throw Error(ErrorKind::usage, fmt::format("{} is empty, expected a folder", option->get_name()));
    run(name, *request);
  });
}

void add_inspect_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand(
      "inspect",
      "show the classes of a data set, how imbalanced they are, what is wrong with it and a run to begin with");
  struct Request {
    std::string data, data_root, imbalance = "none", picture;
    std::int64_t image_size = 0, image_bits = 0, max_pixels = k_max_pixels;
    bool quick = false, all = false, as_json = false;
  };
  const auto request = std::make_shared<Request>();
  verb->add_option("--data", request->data,
                   "data set: fashion-mnist, mnist, cifar10, cifar100, folder:DIR, list:FILE, csv:FILE?label=COLUMN or "
                   "npy:FEATURES,LABELS")
      ->required();
  verb->add_option("--data-root", request->data_root, "where named data sets lie");
  verb->add_option("--imbalance", request->imbalance,
                   "show it made long-tailed: exp:RATIO, step:RATIO, pareto:ALPHA, counts:FILE or none")
      ->capture_default_str();
  add_number(*verb, "--image-size", request->image_size, "resize image files to squares of this side; 0: leave them")
      ->default_str("0");
  add_number(*verb, "--image-bits", request->image_bits,
             "bits in use in images of 16 bits a sample, 8 to 16; 0: as many as the data use")
      ->default_str("0");
  add_number(*verb, "--max-pixels", request->max_pixels, "refuse image files that declare more pixels than this")
      ->default_str(fmt::format("{}", k_max_pixels));
  CLI::Option* picture =
      verb->add_option("--picture", request->picture, "write a bar chart of the classes, an SVG file");
  verb->add_flag("--quick", request->quick, "look at no sample: count, and search for no duplicates");
  verb->add_flag("--all", request->all, "show every class, not the ten largest and smallest of many");
  verb->add_flag("--json", request->as_json, "print as JSON");
  verb->footer("Example:\n  ulmus inspect --data folder:photos --picture classes.svg");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    if (picture->count() > 0 && request->picture.empty())
      throw Error(ErrorKind::usage, "--picture is empty, expected a file, for example --picture classes.svg");
    OpenOptions open{.data_root = request->data_root,
                     .max_pixels = request->max_pixels,
                     .image_bits = static_cast<int>(std::clamp<std::int64_t>(request->image_bits, -1, 17))};
    if (request->image_size != 0) open.image_size = request->image_size;
    const Inspection inspection =
        inspect(request->data, open, {.imbalance = request->imbalance, .quick = request->quick});
    if (picture->count() > 0)
      write_file(
          request->picture,
          to_svg({.data = inspection.data, .class_names = inspection.class_names, .counts = inspection.train_counts}));
    const std::optional<Proposal> proposal = propose_run(inspection, open, request->imbalance);
    if (request->as_json) return print(to_json(inspection, proposal));
    print(to_text(inspection, request->all) + (proposal ? "\n" + to_text(*proposal) : ""));
  });
}

void add_losses_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("losses", "list the losses, or explain one");
  const auto name = std::make_shared<std::string>();
  const auto as_json = std::make_shared<bool>(false), as_markdown = std::make_shared<bool>(false);
  verb->add_option("name", *name, "a loss or a rule to explain");
  verb->add_flag("--json", *as_json, "print the whole table as JSON");
  verb->add_flag("--markdown", *as_markdown, "print the whole table as the page docs/losses.md");
  verb->footer("Example:\n  ulmus losses elm");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    if (!name->empty() && (*as_json || *as_markdown))
      throw Error(ErrorKind::usage, fmt::format("'{}' and {} came, but the whole table is printed; leave out one",
                                                *name, *as_json ? "--json" : "--markdown"));
    print(*as_json        ? family_json()
          : *as_markdown  ? family_markdown()
          : name->empty() ? list_losses()
                          : explain_loss(*name));
  });
}

void add_report_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("report", "write the report of a run anew and print its table");
  const auto folder = std::make_shared<std::string>();
  const auto as_json = std::make_shared<bool>(false), as_markdown = std::make_shared<bool>(false);
  verb->add_option("run", *folder, "run folder")->required();
  verb->add_flag("--json", *as_json, "print the summary as JSON");
  verb->add_flag("--markdown", *as_markdown, "print a Markdown table with intervals");
  verb->footer("Example:\n  ulmus report runs/first");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    const Summary summary = write_report(*folder);
    if (*as_markdown)
      print(markdown_table(summary));
    else
      print_result(*folder, summary, *as_json);
  });
}

/// The pieces of a comma-separated list, each made by `parse`.
template <class Parse>
auto parse_list(const std::string& text, Parse parse) {
  std::vector<decltype(parse(text))> values;
  for (const std::string& piece : split(text, ',')) values.push_back(parse(piece));
  return values;
}

void add_bench_verb(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("bench", "measure the losses against this machine's memory and LibTorch");
  struct Request {
    std::string losses, sizes, dtypes, threads;
    bench::Options options;
    bool as_json = false;
  };
  const auto request = std::make_shared<Request>();
  verb->add_option("--losses", request->losses, "losses to measure; default: ce,elm");
  verb->add_option("--sizes", request->sizes, "rows x classes; default: 128x10,128x100,256x1000,4096x8142,512x100000");
  verb->add_option("--dtypes", request->dtypes, "f32, f64, bf16, f16; default: f32,bf16");
  verb->add_option("--threads", request->threads, "numbers of threads; default: 1,2");
  add_number(*verb, "--seconds", request->options.seconds, "at least so long each contender runs in a round")
      ->capture_default_str();
  verb->add_flag("--json", request->as_json, "print the records as JSON instead of a Markdown table");
  verb->footer("Example:\n  ulmus bench --losses elm --sizes 4096x8142");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    bench::Options options = request->options;
    if (!(options.seconds > 0 && options.seconds <= 60))
      throw Error(ErrorKind::usage,
                  fmt::format("--seconds is {}, expected above 0, at most 60", format_number(options.seconds)));
    if (!request->losses.empty()) {
      options.losses.clear();
      for (const LossSpec& loss : parse_losses(request->losses)) options.losses.push_back(loss.text());
    }
    if (!request->sizes.empty()) options.sizes = parse_list(request->sizes, bench::parse_size);
    if (!request->dtypes.empty()) options.dtypes = parse_list(request->dtypes, bench::parse_dtype);
    if (!request->threads.empty())
      options.threads = parse_list(request->threads, [](const std::string& text) {
        const auto threads = parse_integer(text, "--threads");
        if (threads < 1 || threads > 1024)
          throw Error(ErrorKind::usage, fmt::format("--threads is {}, expected numbers from 1 to 1024", text));
        return static_cast<int>(threads);
      });
    const auto records = bench::run(options, [](const bench::Record& record) {
      say(fmt::format("{}/{}/N:{}/C:{}/threads:{} {:.3f} ns an element\n", record.loss, name_of(record.dtype), record.n,
                      record.c, record.threads, record.ns_per_element));
    });
    print(request->as_json ? bench::to_json(records) : bench::to_markdown(records));
  });
}

}  // namespace

void add_verbs(CLI::App& program) {
  RunOptions compare;
  compare.losses = "ce,ldam+drw,elm:lambda=0.5+drw";
  compare.seeds = 3;
  add_run_verb(program, "compare", "train several losses on the same data with several seeds, and report",
               "Example:\n  ulmus compare --data fashion-mnist --imbalance exp:100 --losses "
               "ce,ldam+drw,elm:lambda=0.5+drw --out runs/first",
               compare);
  RunOptions train;
  train.losses = "elm:lambda=0.5+drw";
  add_run_verb(program, "train", "train one loss, and report",
               "Example:\n  ulmus train --data folder:photos --loss ldam+drw --epochs 60 --out runs/birds\n  ulmus "
               "train --resume runs/birds",
               train);
  add_apply_verbs(program);
  add_tune_verb(program);
  add_inspect_verb(program);
  add_losses_verb(program);
  add_report_verb(program);
  add_bench_verb(program);
}

}  // namespace ulmus::cli
