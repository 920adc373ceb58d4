#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/plan_text.hpp"
#include "cli/progress.hpp"
#include "cli/result.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/report.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus::cli {
namespace {

namespace fs = std::filesystem;

/// The options of `train` and `compare`.
struct RunRequest {
  RunOptions options;
  std::optional<std::string> out;
  std::optional<std::string> resume;
  std::optional<std::string> trusted;  ///< file of --trust-model
  bool as_json = false;
  bool dry_run = false;
  bool quiet = false;
};

/// Returns runs/compare-1, or the first number that is free.
fs::path free_folder(const std::string& command) {
  for (int i = 1;; ++i) {
    const fs::path folder = fmt::format("runs/{}-{}", command, i);
    if (!fs::exists(folder)) return folder;
  }
}

/// A TorchScript file is code: it is loaded only if it was typed as `--model` or `--trust-model`, never because a
/// folder names it.
void use_script(RunRequest& request) {
  const std::string kind = "torchscript:";
  const std::string& model = request.options.model;
  if (request.trusted && !model.starts_with(kind))
    throw Error(ErrorKind::usage,
                fmt::format("--trust-model cannot apply: model '{}' is no TorchScript file; leave it out", model));
  if (request.trusted)
    request.options.model_file = request.trusted;
  else if (!request.resume && model.starts_with(kind))
    request.options.model_file = model.substr(kind.size());
}

void run(const std::string& command, RunRequest request) {
  const bool resume = request.resume.has_value();
  if (resume) request.options = read_run_options(*request.resume);
  use_script(request);
  const fs::path folder = resume        ? fs::path(*request.resume)
                          : request.out ? fs::path(*request.out)
                                        : free_folder(command);
  if (!resume) require_free_folder(folder);
  if (command == "train" && !resume && request.options.losses.size() > 1)
    throw Error(ErrorKind::usage,
                fmt::format("'ulmus train' trains one loss, but '{}' came; use 'ulmus compare' for several",
                            option_text(request.options.losses)));
  // A resumed run keeps its order of classes.
  const Plan plan =
      plan_run(request.options, resume ? read_split(folder / "split.json").class_names : std::vector<std::string>{});
  if (request.dry_run) {
    if (request.as_json)
      print(to_json(plan, folder).dump(2) + "\n");
    else
      print(to_text(plan) +
            fmt::format("would write {}; nothing was trained (--dry-run)\n", printable(folder.string(), k_long_text)));
    return;
  }
  if (!request.quiet) print_stderr(to_text(plan));
  try {
    const GracefulStop graceful(
        fmt::format("interrupted; go on with 'ulmus {} --resume {}'", command, shell_quoted(folder.string())));
    ProgressPrinter progress(request.quiet);
    execute(plan, folder, command,
            {.progress = std::ref(progress), .features = std::ref(progress), .stop = stop_requested}, resume);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    if (!fs::exists(folder / "config.toml"))
      throw Error(error.kind(), fmt::format("{}; no epoch was finished, so nothing is kept", error.what()));
    throw Error(error.kind(), fmt::format("{}; go on with 'ulmus {} --resume {}'", error.what(), command,
                                          shell_quoted(folder.string())));
  }
  print_result(folder, write_report(folder), request.as_json);
}

void add_run_command(CLI::App& program, const std::string& name, const std::string& help, const std::string& example,
                     RunOptions defaults) {
  CLI::App* command = program.add_subcommand(name, help);
  const auto request = std::make_shared<RunRequest>();
  request->options = std::move(defaults);
  add_run_options(*command, request->options);
  command->add_option("--out", request->out, fmt::format("folder for the run; default: the next free runs/{}-N", name));
  CLI::Option* resume = command->add_option("--resume", request->resume,
                                            "go on with the run in this folder; every other option is its own");
  command->add_option("--config",
                      "read options from a TOML file, e.g. the config.toml of a run; options given beside it win");
  add_trust(*command, request->trusted);
  command->add_flag("--json", request->as_json, "print the summary as JSON on standard output");
  command->add_flag("--dry-run", request->dry_run, "check everything and show the plan, train and write nothing");
  command->add_flag("--quiet", request->quiet, "no plan and no progress");
  command->footer(example);
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    if (resume->count() > 0)
      for (const CLI::Option* option : command->get_options())
        if (option->count() > 0 && option != resume && !option->check_name("--json") &&
            !option->check_name("--quiet") && !option->check_name("--dry-run") && !option->check_name("--trust-model"))
          throw Error(
              ErrorKind::usage,
              fmt::format("{} cannot change a run that is resumed; leave it out, or start a new run with '--config "
                          "{}/config.toml {} ... --out NEW'",
                          option->get_name(), *request->resume, option->get_name()));
    for (const auto& [option, folder] : {std::pair("--out", request->out), std::pair("--resume", request->resume)})
      if (folder && folder->empty())
        throw Error(ErrorKind::usage, fmt::format("{} is empty, expected a folder", option));
    run(name, *request);
  });
}

}  // namespace

void add_run_commands(CLI::App& program) {
  RunOptions compare;
  compare.losses = parse_losses("ce,ldam+drw,elm:lambda=0.5+drw");
  compare.seeds = 3;
  add_run_command(program, "compare", "train several losses on the same data with several seeds, and report",
                  "Example:\n  ulmus compare --data fashion-mnist --imbalance exp:100 --losses "
                  "ce,ldam+drw,elm:lambda=0.5+drw --out runs/first",
                  compare);
  RunOptions train;
  train.losses = parse_losses("elm:lambda=0.5+drw");
  add_run_command(program, "train", "train one loss, and report",
                  "Example:\n  ulmus train --data folder:photos --loss ldam+drw --epochs 60 --out runs/birds\n  ulmus "
                  "train --resume runs/birds",
                  train);
}

}  // namespace ulmus::cli
