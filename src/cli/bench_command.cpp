#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/bench/bench.hpp"
#include "ulmus/loss/spec.hpp"

namespace ulmus::cli {
namespace {

/// Splits a comma-separated list and converts each item with `parse`.
template <class Parse>
auto parse_list(const std::string& text, Parse parse) {
  std::vector<decltype(parse(text))> values;
  for (const std::string& piece : split(text, ',')) values.push_back(parse(piece));
  return values;
}

}  // namespace

void add_bench_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("bench", "measure the losses against this machine's memory and LibTorch");
  struct Request {
    std::string losses, sizes, dtypes, threads;
    bench::Options options;
    bool as_json = false;
  };
  const auto request = std::make_shared<Request>();
  command->add_option("--losses", request->losses, "losses to measure; default: ce,elm");
  command->add_option("--sizes", request->sizes,
                      "rows x classes; default: 128x10,128x100,256x1000,4096x8142,512x100000");
  command->add_option("--dtypes", request->dtypes, "f32, f64, bf16, f16; default: f32,bf16");
  command->add_option("--threads", request->threads, "numbers of threads; default: 1,2");
  add_number(*command, "--seconds", request->options.seconds, "at least so long each contender runs in a round")
      ->capture_default_str();
  command->add_flag("--json", request->as_json, "print the records as JSON instead of a Markdown table");
  command->footer("Example:\n  ulmus bench --losses elm --sizes 4096x8142");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    bench::Options options = request->options;
    if (!(options.seconds > 0 && options.seconds <= 60))
      throw Error(ErrorKind::usage,
                  fmt::format("--seconds is {}, expected above 0, at most 60", format_number(options.seconds)));
    if (!request->losses.empty()) {
      options.losses = parse_losses(request->losses);
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
      print_stderr(fmt::format("{}/{}/N:{}/C:{}/threads:{} {:.3f} ns an element\n", record.loss, name_of(record.dtype),
                               record.n, record.c, record.threads, record.ns_per_element));
    });
    print(request->as_json ? bench::to_json(records) : bench::to_markdown(records));
  });
}

}  // namespace ulmus::cli
