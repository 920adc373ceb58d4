#pragma once

namespace CLI {
class App;
}

namespace ulmus::cli {

/// Adds what is done with a trained run: eval, predict, export.
void add_apply_verbs(CLI::App& program);

}  // namespace ulmus::cli
