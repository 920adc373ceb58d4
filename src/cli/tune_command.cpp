#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/tuning.hpp"
#include "ulmus/train/tune.hpp"

namespace ulmus::cli {

void add_tune_command(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("tune", "choose a head for a trained backbone on the run's validation part, in seconds");
  struct Request {
    std::string run;
    UseOptions use;
    std::optional<std::string> out;
    TuneOptions options;
    bool as_json = false;
  };
  const auto request = std::make_shared<Request>();
  TuneOptions& options = request->options;
  command->add_option("--run", request->run, "run folder, trained with --validation N")->required();
  command->add_option("--loss", options.model.loss, "the model to tune; default: the only one of the run");
  add_number(*command, "--seed", options.model.seed, "its seed; default: the only one");
  add_parsed(
      *command, "--losses", [&](const std::string& text) { options.losses = parse_tune_entries(text); },
      "losses to fit heads with, and the second stages crt, tau-norm, lws; default: elm+drw,elm,la,crt, "
      "with a linear head also tau-norm,lws");
  add_parsed(
      *command, "--grid", [&](const std::string& text) { options.grid = parse_tune_grid(text); },
      "values of their keys, e.g. lambda=0:1:0.1,scale=20,30; default: lambda of elm, tau of la and tau-norm");
  add_count(*command, "--jobs", options.jobs, "heads fitted at the same time; default: one a core. Changes no result");
  command->add_flag("--apply", options.apply, "keep the chosen head as a model of the run, beside the trained one");
  add_data_root(*command, request->use, "where named data sets lie");
  add_use_options(*command, request->use);
  command->add_option("--out", request->out, "the page to write; default: tune.html in the run folder");
  command->add_flag("--json", request->as_json, "print everything as JSON");
  command->footer("Example:\n  ulmus tune --run runs/birds --losses elm+drw,crt --grid lambda=0:1:0.1 --apply");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    const RunOptions run = run_options_for_use(request->run, request->use);
    const Tuning tuning = [&] {
      const GracefulStop graceful("interrupted; nothing was chosen");
      return tune(request->run, run, request->options, stop_requested);
    }();
    const std::filesystem::path page =
        request->out ? std::filesystem::path(*request->out) : std::filesystem::path(request->run) / "tune.html";
    write_file(page, tuning_html(tuning));
    if (tuning.new_model) write_report(request->run);
    if (request->as_json) {
      print(to_json(tuning));
      return;
    }
    print(tuning_table(tuning, {.colour = ::isatty(STDOUT_FILENO) == 1}) + "\n");
    if (tuning.new_model)
      print(fmt::format(
          "new model: {}, in the report of the run; evaluate it on other data by 'ulmus eval --run {} --loss {}'\n",
          *tuning.new_model, request->run, *tuning.new_model));
    print(fmt::format("page: {}\n", printable(page.string(), k_long_text)));
  });
}

}  // namespace ulmus::cli
