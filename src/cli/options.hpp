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

/// An option of the libraries as the command line has it, for set_option_spelling: `image_size`, `32` is
/// "--image-size 32".
std::string option_on_command_line(std::string_view name, std::string_view value);

/// Adds an option that takes a number; an error says what was given and what was expected.
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

/// Adds an option with a text that `parse` takes. The text is not empty; errors of `parse` begin with the option's
/// name.
CLI::Option* add_parsed(CLI::App& command, const std::string& name, std::function<void(const std::string&)> parse,
                        const std::string& help);

/// Adds the options of a run to a command, made from the one table: those that `names` lists, or all. A later value of
/// an option replaces an earlier one.
void add_run_options(CLI::App& command, RunOptions& options, std::span<const std::string_view> names = {});

/// Replaces `--config FILE` after the command by the options in the TOML file, before the others, so that these win.
/// Throws Error{usage}, Error{data}.
std::vector<std::string> expand_config(std::vector<std::string> arguments);

/// The options that a run folder records in config.toml. Throws Error{data} when it is not a run folder.
RunOptions read_run_options(const std::filesystem::path& folder);

/// Adds `--trust-model`, which names the file of a TorchScript backbone.
CLI::Option* add_trust(CLI::App& command, std::optional<std::string>& file);

/// How a trained run is opened.
struct UseOptions {
  std::optional<std::string> trusted;    ///< file of --trust-model
  std::optional<std::string> device;     ///< unset: that of the run, or `cpu` where this machine lacks it
  std::optional<std::string> data_root;  ///< unset: that of the run
};

/// Adds the options of every command that uses a trained model: `--trust-model` and `--device`.
void add_use_options(CLI::App& command, UseOptions& use);

void add_data_root(CLI::App& command, UseOptions& use, const std::string& help);

/// The options of a run, changed as the user of its models says.
RunOptions run_options_for_use(const std::filesystem::path& folder, const UseOptions& use);

/// Throws Error{usage} for an argument that a command did not understand, with the nearest option.
void reject_extras(const CLI::App& command);

}  // namespace ulmus::cli
