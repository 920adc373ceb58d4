#pragma once

namespace CLI {
class App;
}

namespace ulmus::cli {

/// Adds the verbs to the program. Each runs when it is parsed and throws ulmus::Error.
void add_verbs(CLI::App& program);

/// One of them, with a file of its own.
void add_tune_verb(CLI::App& program);

}  // namespace ulmus::cli
