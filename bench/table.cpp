/// Prints the table of docs/performance.md, or with --json its records:
///
///     bench_table [--json] [--sizes 128x10,4096x8142] [--losses ce,elm] [--dtypes f32,bf16] [--threads 1,2]
///                 [--rounds 9] [--seconds 0.02]

#include <fmt/format.h>

#include <cstdio>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/bench/bench.hpp"
#include "ulmus/loss/spec.hpp"

namespace {

void run(int argc, char** argv) {
  namespace bench = ulmus::bench;
  bench::Options options;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--json") {
      json = true;
      continue;
    }
    if (i + 1 == argc) throw ulmus::Error(ulmus::ErrorKind::usage, fmt::format("{} needs a value", key));
    const std::string value = argv[++i];
    const auto pieces = ulmus::split(value, ',');
    if (key == "--sizes") {
      options.sizes.clear();
      for (const auto& piece : pieces) options.sizes.push_back(bench::parse_size(piece));
    } else if (key == "--dtypes") {
      options.dtypes.clear();
      for (const auto& piece : pieces) options.dtypes.push_back(bench::parse_dtype(piece));
    } else if (key == "--threads") {
      options.threads.clear();
      for (const auto& piece : pieces)
        options.threads.push_back(static_cast<int>(ulmus::parse_integer(piece, "threads")));
    } else if (key == "--losses") {
      options.losses.clear();
      for (const auto& spec : ulmus::parse_losses(value)) options.losses.push_back(spec.text());
    } else if (key == "--rounds") {
      options.rounds = static_cast<int>(ulmus::parse_integer(value, "rounds"));
    } else if (key == "--seconds") {
      options.seconds = ulmus::parse_number(value, "seconds");
    } else {
      throw ulmus::Error(ulmus::ErrorKind::usage, fmt::format("unknown option {}", key));
    }
  }
  const auto records = bench::run(options, [](const bench::Record& record) {
    fmt::print(stderr, "{}/{}/N:{}/C:{}/threads:{} {:.3f} ns\n", record.loss, name_of(record.dtype), record.n, record.c,
               record.threads, record.ns_per_element);
  });
  fmt::print("{}", json ? bench::to_json(records) : bench::to_markdown(records));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const ulmus::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return error.exit_code();
  }
}
