#pragma once

namespace CLI {
class App;
}

namespace ulmus::cli {

/// Adds all commands to the program. Each runs when it is parsed and throws ulmus::Error.
void add_commands(CLI::App& program);

void add_run_commands(CLI::App& program);    ///< compare, train
void add_model_commands(CLI::App& program);  ///< eval, predict, export
void add_adjust_command(CLI::App& program);
void add_features_command(CLI::App& program);
void add_tune_command(CLI::App& program);
void add_inspect_command(CLI::App& program);
void add_losses_command(CLI::App& program);
void add_report_command(CLI::App& program);
void add_bench_command(CLI::App& program);
void add_doctor_command(CLI::App& program);

}  // namespace ulmus::cli
