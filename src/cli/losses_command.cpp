#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/loss/describe.hpp"

namespace ulmus::cli {

void add_losses_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("losses", "list the losses, or explain one");
  const auto name = std::make_shared<std::string>();
  const auto as_json = std::make_shared<bool>(false), as_markdown = std::make_shared<bool>(false);
  command->add_option("name", *name, "a loss or a rule to explain");
  command->add_flag("--json", *as_json, "print the whole table as JSON");
  command->add_flag("--markdown", *as_markdown, "print the whole table as the page docs/losses.md");
  command->footer("Example:\n  ulmus losses elm");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    if (!name->empty() && (*as_json || *as_markdown))
      throw Error(ErrorKind::usage, fmt::format("'{}' and {} came, but the whole table is printed; leave out one",
                                                *name, *as_json ? "--json" : "--markdown"));
    print(*as_json        ? family_json()
          : *as_markdown  ? family_markdown()
          : name->empty() ? list_losses()
                          : explain_loss(*name));
  });
}

}  // namespace ulmus::cli
