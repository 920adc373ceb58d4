#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/train/options.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ulmus::cli {

/// Formats a library option as it is written on the command line, for set_option_spelling: `image_size`, `32` becomes
/// "--image-size 32".
std::string option_on_command_line(std::string_view name, std::string_view value);

/// Adds an option that takes a number; an error states the given and the expected value.
CLI::Option* add_number(CLI::App& command, const std::string& names, double& field, const std::string& help);
CLI::Option* add_number(CLI::App& command, const std::string& names, std::int64_t& field, const std::string& help);
CLI::Option* add_number(CLI::App& command, const std::string& names, std::optional<std::int64_t>& field,
                        const std::string& help);
CLI::Option* add_number(CLI::App& command, const std::string& names, std::uint64_t& field, const std::string& help);
CLI::Option* add_number(CLI::App& command, const std::string& names, std::optional<std::uint64_t>& field,
                        const std::string& help);

/// Adds an option that takes a number of at least 1; 0 leaves it unset.
CLI::Option* add_count(CLI::App& command, const std::string& names, std::optional<std::int64_t>& field,
                       const std::string& help);

/// Adds an option with a text that is passed to `parse`. The text must not be empty; errors of `parse` are prefixed
/// with the option's name.
CLI::Option* add_parsed(CLI::App& command, const std::string& name, std::function<void(const std::string&)> parse,
                        const std::string& help);

/// Adds the options of a run to a command, from the table of options: those in `names`, or all. A later value of an
/// option replaces an earlier one.
void add_run_options(CLI::App& command, RunOptions& options, std::span<const std::string_view> names = {});

/// Replaces `--config FILE` after the command by the options in the TOML file, placed before the others, so that the
/// others take precedence. Throws Error{usage}, Error{data}.
std::vector<std::string> expand_config(std::vector<std::string> arguments);

/// Reads the options of a run from its config.toml. Throws Error{data} if the folder is not a run folder.
RunOptions read_run_options(const std::filesystem::path& folder);

/// Adds `--trust-model`, which names the file of a TorchScript backbone.
CLI::Option* add_trust(CLI::App& command, std::optional<std::string>& file);

/// Options for using a trained run.
struct UseOptions {
  std::optional<std::string> trusted;    ///< file of --trust-model
  std::optional<std::string> device;     ///< unset: that of the run, or `cpu` if this machine lacks it
  std::optional<std::string> data_root;  ///< unset: that of the run
};

/// Adds the options of all commands that use a trained model: `--trust-model` and `--device`.
void add_use_options(CLI::App& command, UseOptions& use);

void add_data_root(CLI::App& command, UseOptions& use, const std::string& help);

/// The options of a run, overridden by those of `use`.
RunOptions run_options_for_use(const std::filesystem::path& folder, const UseOptions& use);

/// Throws Error{usage} for an unknown argument of a command, with the nearest option.
void reject_extras(const CLI::App& command);

}  // namespace ulmus::cli
