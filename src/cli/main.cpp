#include <dlfcn.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/target.hpp"
#include "ulmus/version.h"

namespace {

using ulmus::Error;
using ulmus::ErrorKind;

/// OpenBLAS treats a processor newer than itself as the oldest that it knows, "Prescott". Without AVX, the products of
/// large heads run at a quarter of their speed (Debian 12 on Intel's Emerald Rapids). OPENBLAS_CORETYPE corrects that,
/// but OpenBLAS reads it while it is loaded, so a command that multiplies restarts the program.
void reexec_with_openblas_coretype(char** arguments) {
  constexpr const char* k_variable = "OPENBLAS_CORETYPE";
  const auto core_name = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (core_name == nullptr || std::getenv(k_variable) != nullptr || std::strcmp(core_name(), "Prescott") != 0) return;
  const std::string best = ulmus::available_targets().front();
  if (best != "avx512" && best != "avx2") return;
  setenv(k_variable, best == "avx512" ? "SkylakeX" : "Haswell", 1);
  std::error_code unknown;  // by its path, to keep the process name
  execv(std::filesystem::read_symlink("/proc/self/exe", unknown).c_str(), arguments);
  // If this fails, continue slowly.
}

void reject_unknown_command(const CLI::App& program, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0].starts_with('-')) return;
  std::vector<std::string> commands;
  for (const CLI::App* command : program.get_subcommands({})) commands.push_back(command->get_name());
  if (std::find(commands.begin(), commands.end(), arguments[0]) != commands.end()) return;
  throw Error(ErrorKind::usage,
              fmt::format("unknown command '{}'; {}", arguments[0], ulmus::suggest(arguments[0], commands)));
}

int run(std::vector<std::string> arguments) {
  CLI::App program("Losses, training and reports for imbalanced and long-tailed classification.", "ulmus");
  program.set_version_flag("--version", "ulmus " ULMUS_VERSION);
  program.require_subcommand(1);
  program.get_formatter()->column_width(32);
  program.footer(
      "'ulmus COMMAND --help' explains a command. Exit codes: 0 success, 2 usage, 3 data, 4 numerical, 5 environment, "
      "70 "
      "a bug of ulmus itself, 130 interrupted.");
  ulmus::cli::add_commands(program);
  if (arguments.empty()) arguments.emplace_back("--help");
  reject_unknown_command(program, arguments);
  arguments = ulmus::cli::expand_config(std::move(arguments));
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    program.parse(std::move(arguments));
  } catch (const CLI::Success& help) {
    return program.exit(help);
  } catch (const CLI::Error& error) {
    // If something is missing, a mistyped option name is the more likely reason.
    const std::vector<CLI::App*> commands = program.get_subcommands();
    for (const CLI::App* command : commands) ulmus::cli::reject_extras(*command);
    ulmus::cli::reject_extras(program);
    throw Error(ErrorKind::usage, fmt::format("{}; see 'ulmus {}--help'", error.what(),
                                              commands.empty() ? "" : commands.front()->get_name() + " "));
  }
  return 0;
}

/// Prints one line, whatever characters a path or an argument contains.
int report_error(int code, std::string_view message) {
  ulmus::cli::print_stderr("ulmus: " + ulmus::printable(message, std::string_view::npos) + "\n");
  return code;
}

/// The exit code for a bug in ulmus itself: ULMUS_INTERNAL in ulmus/c.h.
constexpr int k_internal = 70;

constexpr const char* k_out_of_memory = "out of memory; try a smaller --batch-size or smaller images";

/// LibTorch and OpenCV do not have their own exception type for it.
bool is_out_of_memory(const std::string& message) {
  return message.find("DefaultCPUAllocator") != std::string::npos ||
         message.find("CUDA out of memory") != std::string::npos ||
         message.find("Insufficient memory") != std::string::npos;
}

/// Removes the stack trace that LibTorch appends from the second line on.
std::string first_line(const std::string& message) { return message.substr(0, message.find('\n')); }

/// Runs a command; every failure becomes one line and an exit code.
int run_and_report(int count, char** values) {
  try {
    const int code = run({values + 1, values + count});
    ulmus::cli::flush_results();
    return code;
  } catch (const Error& error) {
    return report_error(error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return report_error(static_cast<int>(ErrorKind::environment), k_out_of_memory);
  } catch (const std::system_error& error) {  // cannot start a thread or access a folder
    return report_error(static_cast<int>(ErrorKind::environment), error.what());
  } catch (const std::exception& error) {
    const std::string message = first_line(error.what());
    if (is_out_of_memory(message)) return report_error(static_cast<int>(ErrorKind::environment), k_out_of_memory);
    return report_error(k_internal, fmt::format("internal error: {}; please report it", message));
  }
}

}  // namespace

int main(int count, char** values) {
  ulmus::cli::prepare_streams();
  spdlog::set_default_logger(spdlog::stderr_color_mt("ulmus"));
  spdlog::set_pattern("ulmus: %v");
  ulmus::set_option_spelling(ulmus::cli::option_on_command_line);
  const std::string_view command = count > 1 ? values[1] : "";
  if (command == "train" || command == "compare" || command == "tune" || command == "features" || command == "eval" ||
      command == "predict")
    reexec_with_openblas_coretype(values);
  ulmus::cli::watch_signals();
  const int code = run_and_report(count, values);
  std::fflush(stdout);
  std::_Exit(code);  // LibTorch would take a tenth of a second to destroy its tables
}
