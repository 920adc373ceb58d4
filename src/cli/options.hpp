#pragma once

#include <cstdint>
#include <filesystem>
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

/// Adds an option that takes a number, whose refusal says what came and what was expected.
CLI::Option* add_number(CLI::App& verb, const std::string& names, double& field, const std::string& help);
CLI::Option* add_number(CLI::App& verb, const std::string& names, std::int64_t& field, const std::string& help);
CLI::Option* add_number(CLI::App& verb, const std::string& names, std::uint64_t& field, const std::string& help);

/// Adds every option of a run to a verb, made from the one table. A later value of an option replaces an earlier one.
void add_run_options(CLI::App& verb, RunOptions& options);

/// Replaces `--config FILE` behind the verb by the options in the TOML file, in front of the others so that these win.
/// Throws Error{usage}, Error{data}.
std::vector<std::string> expand_config(std::vector<std::string> arguments);

/// The options that a run folder records in config.toml. Throws Error{data} when it is not a run folder.
RunOptions read_run_options(const std::filesystem::path& folder);

/// Adds `--trust-model`, which names the file of a TorchScript backbone.
CLI::Option* add_trust(CLI::App& verb, std::string& file);

/// Adds what every verb that uses a trained model has: `--trust-model` and `--device`.
void add_use_options(CLI::App& verb, std::string& trusted, std::string& device);

/// The options of a run that is used: with what was typed, and with `cpu` for a device that this machine lacks.
RunOptions run_options_for_use(const std::filesystem::path& folder, const std::string& trusted,
                               const std::string& device, const std::string& data_root);

/// Throws Error{usage} for what a verb did not understand, with the nearest option.
void refuse_extras(const CLI::App& verb);

}  // namespace ulmus::cli
