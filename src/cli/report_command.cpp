#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/result.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus::cli {

void print_result(const std::filesystem::path& folder, const Summary& summary, bool as_json) {
  if (as_json) {
    print(to_json(summary));
    return;
  }
  print("\n" + terminal_table(summary, {.colour = ::isatty(STDOUT_FILENO) == 1}));
  print(fmt::format(
      "\nreport: {}\n",
      printable(std::filesystem::absolute(folder / "report.html").lexically_normal().string(), k_long_text)));
}

void add_report_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("report", "write the report of a run anew and print its table");
  const auto folder = std::make_shared<std::string>();
  const auto as_json = std::make_shared<bool>(false), as_markdown = std::make_shared<bool>(false);
  command->add_option("run", *folder, "run folder")->required();
  command->add_flag("--json", *as_json, "print the summary as JSON");
  command->add_flag("--markdown", *as_markdown, "print a Markdown table with intervals");
  command->footer("Example:\n  ulmus report runs/first");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    const Summary summary = write_report(*folder);
    if (*as_markdown)
      print(markdown_table(summary));
    else
      print_result(*folder, summary, *as_json);
  });
}

}  // namespace ulmus::cli
