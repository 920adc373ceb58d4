#pragma once

#include <CLI/CLI.hpp>

namespace ulmus::cli {

/// Adds the verbs to the program. Each runs when it is parsed and throws ulmus::Error.
void add_verbs(CLI::App& program);

/// Ends a running training at its next step; safe in a signal handler.
void request_stop() noexcept;

}  // namespace ulmus::cli
