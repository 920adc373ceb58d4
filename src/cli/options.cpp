#include "cli/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus::cli {
namespace {

/// The settings of a TOML file as command-line arguments.
std::vector<std::string> arguments_of(const std::filesystem::path& path) {
  static const std::vector<std::string> k_of_the_command = {"loss", "out", "json", "dry-run", "quiet"};
  std::vector<std::string> arguments;
  RunOptions checked;
  for (const Setting& setting : parse_settings(read_file(path), path.string())) {
    try {
      if (!apply_setting(checked, setting, path.string()) &&
          std::ranges::find(k_of_the_command, setting.name) == k_of_the_command.end())
        throw_unknown_setting(setting, path.string());
    } catch (const Error& error) {
      // An invalid option is a usage error, in a file as on the command line.
      throw Error(ErrorKind::usage, error.what());
    }
    if (!setting.value.empty()) arguments.push_back(fmt::format("--{}={}", setting.name, setting.value));
  }
  return arguments;
}

bool gives(const std::vector<std::string>& arguments, const std::string& option) {
  return std::ranges::any_of(
      arguments, [&](const std::string& argument) { return argument == option || argument.starts_with(option + "="); });
}

/// A configuration may come from somebody else, and a TorchScript file is code, so naming it there is not sufficient.
void require_named_script(const std::vector<std::string>& settings, const std::vector<std::string>& typed,
                          const std::filesystem::path& path) {
  for (const std::string& setting : settings)
    if (setting.starts_with("--model=torchscript:") && !gives(typed, "--model") && !gives(typed, "--trust-model"))
      throw Error(ErrorKind::usage,
                  fmt::format("'{}' has the model '{}', a TorchScript file, which is code and can do whatever you can "
                              "do; if you trust it, name the file by --trust-model FILE",
                              path.string(), printable(setting.substr(setting.find('=') + 1))));
}

std::string full_name(const CLI::App& command) {
  return command.get_parent() ? command.get_parent()->get_name() + " " + command.get_name() : command.get_name();
}

/// CLI11's own conversion reports neither the given nor the expected value, and lets -1 wrap around.
template <class Read, class Number>
CLI::Option* add_read_option(CLI::App& command, const std::string& names, Number& field, const std::string& help,
                             const std::string& type, Read read) {
  const std::string name = names.substr(0, names.find(','));
  return command
      .add_option_function<std::string>(
          names, [&field, name, read](const std::string& text) { field = read(text, name); }, help)
      ->type_name(type);
}

/// Adds an option of a run that takes a number or may be unset.
template <class Field>
void add_unsettable(CLI::App& command, const std::string& name, Field& field, const std::string& help) {
  add_number(command, name, field, help)->take_last()->default_str(option_text(field));
}

template <class Value>
void add_unsettable(CLI::App& command, const std::string& name, std::optional<Value>& field, const std::string& help) {
  const auto read = [name](const std::string& text, const std::string& option) -> std::optional<Value> {
    if constexpr (std::is_same_v<Value, std::string>)
      return text.empty() ? std::nullopt : std::optional(text);
    else if (means_unset(name.substr(2), text))
      return std::nullopt;
    else if constexpr (std::is_same_v<Value, double>)
      return parse_number(text, option);
    else
      return parse_integer(text, option);
  };
  const char* type = std::is_same_v<Value, std::string> ? "TEXT" : std::is_same_v<Value, double> ? "NUMBER" : "INTEGER";
  add_read_option(command, name, field, help, type, read)->take_last();
}

std::uint64_t parse_unsigned(const std::string& text, const std::string& name) {
  const long long value = parse_integer(text, name);
  if (value < 0) throw Error(ErrorKind::usage, fmt::format("{} is {}, expected at least 0", name, value));
  return static_cast<std::uint64_t>(value);
}

}  // namespace

std::string option_on_command_line(std::string_view name, std::string_view value) {
  // Options whose name in their own module would be too vague next to the options of other modules.
  static const std::map<std::string_view, std::string_view> k_other_names = {
      {"rng", "split-rng"}, {"script", "trust-model"}, {"model_file", "trust-model"}};
  const auto other = k_other_names.find(name);
  if (name == "resume") return fmt::format("'ulmus compare --resume {}'", value);
  std::string option(other == k_other_names.end() ? name : other->second);
  std::ranges::replace(option, '_', '-');
  return value.empty() ? "--" + option : fmt::format("--{} {}", option, value);
}

CLI::Option* add_number(CLI::App& command, const std::string& names, double& field, const std::string& help) {
  return add_read_option(command, names, field, help, "NUMBER", parse_number);
}

CLI::Option* add_number(CLI::App& command, const std::string& names, std::int64_t& field, const std::string& help) {
  return add_read_option(command, names, field, help, "INTEGER", parse_integer);
}

CLI::Option* add_number(CLI::App& command, const std::string& names, std::optional<std::int64_t>& field,
                        const std::string& help) {
  return add_read_option(command, names, field, help, "INTEGER", parse_integer);
}

CLI::Option* add_number(CLI::App& command, const std::string& names, std::uint64_t& field, const std::string& help) {
  return add_read_option(command, names, field, help, "INTEGER", parse_unsigned);
}

CLI::Option* add_number(CLI::App& command, const std::string& names, std::optional<std::uint64_t>& field,
                        const std::string& help) {
  return add_read_option(command, names, field, help, "INTEGER", parse_unsigned);
}

CLI::Option* add_count(CLI::App& command, const std::string& names, std::optional<std::int64_t>& field,
                       const std::string& help) {
  return add_read_option(command, names, field, help, "INTEGER",
                         [](const std::string& text, const std::string& name) -> std::optional<std::int64_t> {
                           const long long value = parse_integer(text, name);
                           if (value < 0)
                             throw Error(ErrorKind::usage, fmt::format("{} is {}, expected at least 1", name, value));
                           return value == 0 ? std::nullopt : std::optional<std::int64_t>(value);
                         });
}

CLI::Option* add_parsed(CLI::App& command, const std::string& name, std::function<void(const std::string&)> parse,
                        const std::string& help) {
  return command.add_option_function<std::string>(
      name,
      [name, parse = std::move(parse)](const std::string& text) {
        if (text.empty())
          throw Error(ErrorKind::usage, fmt::format("{} is empty; give it a value, or leave it out", name));
        try {
          parse(text);
        } catch (const Error& error) {
          const std::string message = error.what();
          throw Error(error.kind(), message.starts_with(name) ? message : fmt::format("{}: {}", name, message));
        }
      },
      help);
}

void add_run_options(CLI::App& command, RunOptions& options, std::span<const std::string_view> names) {
  visit_options(options, [&](const std::string& name, auto& field, const char* help) {
    if (!names.empty() && std::ranges::find(names, name) == names.end()) return;
    using Field = std::decay_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, bool>)
      command.add_flag("--" + name, field, help)->take_last();
    else if constexpr (std::is_same_v<Field, std::string>)
      command.add_option("--" + name, field, help)->take_last()->capture_default_str();
    else if constexpr (std::is_same_v<Field, std::vector<LossSpec>>)
      command
          .add_option_function<std::string>(
              "--losses,--loss", [&field](const std::string& text) { field = parse_losses(text); }, help)
          ->take_last()
          ->default_str(option_text(field));
    else
      add_unsettable(command, "--" + name, field, help);
  });
}

CLI::Option* add_trust(CLI::App& command, std::optional<std::string>& file) {
  return command.add_option(
      "--trust-model", file,
      "the file of a TorchScript backbone, where a run or a configuration has one: such a file is "
      "code, so it runs only when you name it");
}

void add_use_options(CLI::App& command, UseOptions& use) {
  add_trust(command, use.trusted);
  command.add_option("--device", use.device,
                     "cpu, cuda or cuda:N; default: that of the run, or cpu where it is not here");
}

void add_data_root(CLI::App& command, UseOptions& use, const std::string& help) {
  command.add_option("--data-root", use.data_root, help);
}

RunOptions run_options_for_use(const std::filesystem::path& folder, const UseOptions& use) {
  RunOptions options = read_run_options(folder);
  options.model_file = use.trusted;
  options.device = use.device ? *use.device : available_device(options.device);
  if (use.data_root) options.data_root = *use.data_root;
  return options;
}

std::vector<std::string> expand_config(std::vector<std::string> arguments) {
  if (arguments.empty() || (arguments[0] != "compare" && arguments[0] != "train")) return arguments;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string path;
    std::size_t used = 1;
    if (arguments[i] == "--config") {
      if (i + 1 == arguments.size())
        throw Error(ErrorKind::usage, "--config needs a file, for example --config runs/first/config.toml");
      path = arguments[i + 1];
      used = 2;
    } else if (arguments[i].starts_with("--config=")) {
      path = arguments[i].substr(9);
    } else {
      continue;
    }
    const auto at = arguments.begin() + static_cast<std::ptrdiff_t>(i);
    arguments.erase(at, at + static_cast<std::ptrdiff_t>(used));
    for (const std::string& other : arguments) {
      const std::string option = other.substr(0, other.find('='));
      if (option == "--config") throw Error(ErrorKind::usage, "--config comes twice; keep one");
      if (option == "--resume")
        throw Error(ErrorKind::usage,
                    "--config cannot change a run that is resumed; leave out --config, or leave out --resume to start "
                    "a new run");
    }
    const auto settings = arguments_of(path);
    require_named_script(settings, arguments, path);
    arguments.insert(arguments.begin() + 1, settings.begin(), settings.end());
    return arguments;
  }
  return arguments;
}

RunOptions read_run_options(const std::filesystem::path& folder) {
  const auto path = folder / "config.toml";
  if (!std::filesystem::exists(path))
    throw Error(ErrorKind::data, fmt::format("'{}' is not a run folder: it has no config.toml", folder.string()));
  return options_from_toml(read_file(path), path.string());
}

void reject_extras(const CLI::App& command) {
  const std::vector<std::string> extras = command.remaining();
  if (extras.empty()) return;
  const std::string word = extras[0].substr(0, extras[0].find('='));
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  if (!word.starts_with('-'))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' was not expected after '{}'; options begin with --, see '{} --help'", word,
                            full_name(command), full_name(command)));
  const std::string near = nearest_name(word, known);
  throw Error(ErrorKind::usage, fmt::format("'{}' has no option '{}'; {}", full_name(command), word,
                                            near.empty() ? fmt::format("see '{} --help'", full_name(command))
                                                         : fmt::format("did you mean '{}'?", near)));
}

}  // namespace ulmus::cli
