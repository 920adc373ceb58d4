#include "ulmus/train/tune.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "cli/verbs.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/tuning.hpp"

namespace ulmus::cli {

void add_tune_verb(CLI::App& program) {
  CLI::App* verb =
      program.add_subcommand("tune", "choose a head for a trained backbone on the run's validation part, in seconds");
  struct Request {
    std::string run, out, data_root, trusted, device;
    TuneOptions options;
    bool as_json = false;
  };
  const auto request = std::make_shared<Request>();
  TuneOptions& options = request->options;
  verb->add_option("--run", request->run, "run folder, trained with --validation N")->required();
  verb->add_option("--loss", options.loss, "the member to tune; default: the only one of the run");
  CLI::Option* seed = add_number(*verb, "--seed", options.seed, "its seed; default: the only one");
  verb->add_option("--losses", options.losses,
                   "losses to fit heads with, and the second stages crt, tau-norm, lws; default: elm+drw,elm,la,crt, "
                   "with a linear head also tau-norm,lws");
  verb->add_option("--grid", options.grid,
                   "values of their keys, e.g. lambda=0:1:0.1,scale=20,30; default: lambda of elm, tau of la and "
                   "tau-norm");
  add_number(*verb, "--jobs", options.jobs, "heads fitted at the same time; 0: one a core. Changes no result")
      ->default_str("0");
  verb->add_flag("--apply", options.apply, "keep the chosen head as a member of the run, beside the trained one");
  verb->add_option("--data-root", request->data_root, "where named data sets lie");
  add_use_options(*verb, request->trusted, request->device);
  verb->add_option("--out", request->out, "the page to write; default: tune.html in the run folder");
  verb->add_flag("--json", request->as_json, "print everything as JSON");
  verb->footer("Example:\n  ulmus tune --run runs/birds --losses elm+drw,crt --grid lambda=0:1:0.1 --apply");
  verb->allow_extras();
  verb->callback([=] {
    refuse_extras(*verb);
    if (seed->count() > 0 && request->options.seed < 0)
      throw Error(ErrorKind::usage, fmt::format("--seed is {}, expected at least 0", request->options.seed));
    const RunOptions run = run_options_for_use(request->run, request->trusted, request->device, request->data_root);
    const Tuning tuning = [&] {
      const Orderly orderly("interrupted; nothing was chosen");
      return tune(request->run, run, request->options, stop_requested);
    }();
    const std::filesystem::path page =
        request->out.empty() ? std::filesystem::path(request->run) / "tune.html" : std::filesystem::path(request->out);
    write_file(page, tuning_html(tuning));
    if (!tuning.member.empty()) write_report(request->run);
    if (request->as_json) {
      print(to_json(tuning));
      return;
    }
    print(tuning_table(tuning, {.colour = ::isatty(STDOUT_FILENO) == 1}) + "\n");
    if (!tuning.member.empty())
      print(fmt::format(
          "new member: {}, in the report of the run; judge it on other data by 'ulmus eval --run {} --loss {}'\n",
          tuning.member, request->run, tuning.member));
    print(fmt::format("page: {}\n", printable(page.string(), k_long_text)));
  });
}

}  // namespace ulmus::cli
