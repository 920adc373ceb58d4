#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/result.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/bench/bench.hpp"
#include "ulmus/report/report.hpp"
#include "ulmus/train/doctor.hpp"
#include "ulmus/version.h"

namespace ulmus::cli {
namespace {

std::vector<Finding> findings() {
  std::vector<Finding> all = {{.topic = "Ulmus", .value = ULMUS_VERSION, .advice = {}}};
  for (Finding& finding : examine_machine()) all.push_back(std::move(finding));
  const int threads = static_cast<int>(usable_cores());
  all.insert(all.begin() + 3, {.topic = "memory rate",
                               .value = fmt::format("{:.1f} GB/s on {} threads, the limit of the kernel",
                                                    bench::memory_rate(threads), threads),
                               .advice = {}});
  const auto chartjs = find_chartjs();
  all.push_back({.topic = "Chart.js",
                 .value = chartjs ? chartjs->string() : "missing, so no report can be written",
                 .advice = chartjs ? std::nullopt : std::optional<std::string>("apt-get install libjs-chart.js")});
  return all;
}

}  // namespace

void add_doctor_command(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("doctor", "say what this machine and this build can do, and what is missing");
  const auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "print as JSON");
  command->footer("Example:\n  ulmus doctor");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    const std::vector<Finding> all = findings();
    if (*as_json) {
      Json list = Json::array();
      for (const Finding& finding : all)
        list.push_back({{"topic", finding.topic},
                        {"value", finding.value},
                        {"advice", finding.advice ? Json(*finding.advice) : Json()}});
      print(Json{{"schema_version", k_result_schema_version}, {"findings", list}}.dump(2) + "\n");
      return;
    }
    std::size_t width = 0;
    for (const Finding& finding : all) width = std::max(width, finding.topic.size());
    std::string text;
    for (const Finding& finding : all) {
      text += fmt::format("{:<{}}  {}\n", finding.topic, width, printable(finding.value, k_long_text));
      if (finding.advice) text += fmt::format("{:<{}}  -> {}\n", "", width, *finding.advice);
    }
    print(text);
  });
}

}  // namespace ulmus::cli
