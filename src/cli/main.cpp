#include <dlfcn.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/options.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "cli/verbs.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/target.hpp"
#include "ulmus/version.h"

namespace {

using ulmus::Error;
using ulmus::ErrorKind;

/// OpenBLAS takes a processor younger than itself for the oldest it has code for, "Prescott": without AVX the products
/// of large heads have a quarter of their speed (Debian 12 on Intel's Emerald Rapids). Told which code to use it is as
/// fast as elsewhere; it reads that while it is loaded, so a program that is to train starts again.
void tell_openblas_the_processor(char** arguments) {
  constexpr const char* k_variable = "OPENBLAS_CORETYPE";
  const auto core_name = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (core_name == nullptr || std::getenv(k_variable) != nullptr || std::strcmp(core_name(), "Prescott") != 0) return;
  const std::string best = ulmus::available_targets().front();
  if (best != "avx512" && best != "avx2") return;
  setenv(k_variable, best == "avx512" ? "SkylakeX" : "Haswell", 1);
  std::error_code unknown;  // by its path, so that its name stays
  execv(std::filesystem::read_symlink("/proc/self/exe", unknown).c_str(), arguments);
  // Where that cannot be, slowly on.
}

void refuse_unknown_verb(const CLI::App& program, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0].starts_with('-')) return;
  std::vector<std::string> verbs;
  for (const CLI::App* verb : program.get_subcommands({})) verbs.push_back(verb->get_name());
  if (std::find(verbs.begin(), verbs.end(), arguments[0]) != verbs.end()) return;
  throw Error(ErrorKind::usage,
              fmt::format("unknown verb '{}'; {}", arguments[0], ulmus::suggest(arguments[0], verbs)));
}

int run(std::vector<std::string> arguments) {
  CLI::App program("Losses, training and reports for imbalanced and long-tailed classification.", "ulmus");
  program.set_version_flag("--version", "ulmus " ULMUS_VERSION);
  program.require_subcommand(1);
  program.get_formatter()->column_width(32);
  program.footer(
      "'ulmus VERB --help' explains a verb. Exit codes: 0 success, 2 usage, 3 data, 4 numerical, 5 environment, 70 "
      "a mistake of ulmus itself, 130 interrupted.");
  ulmus::cli::add_verbs(program);
  if (arguments.empty()) arguments.emplace_back("--help");
  refuse_unknown_verb(program, arguments);
  arguments = ulmus::cli::expand_config(std::move(arguments));
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    program.parse(std::move(arguments));
  } catch (const CLI::Success& help) {
    return program.exit(help);
  } catch (const CLI::Error& error) {
    // A mistyped name is the likelier reason why something is missing.
    const std::vector<CLI::App*> verbs = program.get_subcommands();
    for (const CLI::App* verb : verbs) ulmus::cli::refuse_extras(*verb);
    ulmus::cli::refuse_extras(program);
    throw Error(ErrorKind::usage, fmt::format("{}; see 'ulmus {}--help'", error.what(),
                                              verbs.empty() ? "" : verbs.front()->get_name() + " "));
  }
  return 0;
}

/// One line, whatever a path or an argument holds.
int complain(int code, std::string_view message) {
  ulmus::cli::say("ulmus: " + ulmus::printable(message, std::string_view::npos) + "\n");
  return code;
}

/// An exit code of its own for a mistake of ours, that of ULMUS_INTERNAL in ulmus/c.h.
constexpr int k_internal = 70;

constexpr const char* k_out_of_memory = "out of memory; try a smaller --batch-size or smaller images";

/// LibTorch and OpenCV have no exception of their own for it.
bool is_out_of_memory(const std::string& message) {
  return message.find("DefaultCPUAllocator") != std::string::npos ||
         message.find("CUDA out of memory") != std::string::npos ||
         message.find("Insufficient memory") != std::string::npos;
}

/// Without what LibTorch appends: a stack trace, from the second line on.
std::string first_line(const std::string& message) { return message.substr(0, message.find('\n')); }

}  // namespace

int main(int count, char** values) {
  ulmus::cli::prepare_streams();
  spdlog::set_default_logger(spdlog::stderr_color_mt("ulmus"));
  spdlog::set_pattern("ulmus: %v");
  ulmus::set_option_spelling(ulmus::cli::option_on_command_line);
  const std::string_view verb = count > 1 ? values[1] : "";
  if (verb == "train" || verb == "compare" || verb == "tune" || verb == "eval" || verb == "predict")
    tell_openblas_the_processor(values);
  ulmus::cli::watch_signals();
  try {
    const int code = run({values + 1, values + count});
    ulmus::cli::flush_results();
    return code;
  } catch (const Error& error) {
    return complain(error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return complain(static_cast<int>(ErrorKind::environment), k_out_of_memory);
  } catch (const std::system_error& error) {  // no thread, no folder
    return complain(static_cast<int>(ErrorKind::environment), error.what());
  } catch (const std::exception& error) {
    const std::string message = first_line(error.what());
    if (is_out_of_memory(message)) return complain(static_cast<int>(ErrorKind::environment), k_out_of_memory);
    return complain(k_internal, fmt::format("internal error: {}; please report it", message));
  }
}
