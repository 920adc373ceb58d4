#include "cli/commands.hpp"

namespace ulmus::cli {

void add_commands(CLI::App& program) {
  add_run_commands(program);
  add_model_commands(program);
  add_adjust_command(program);
  add_features_command(program);
  add_tune_command(program);
  add_inspect_command(program);
  add_losses_command(program);
  add_report_command(program);
  add_bench_command(program);
  add_doctor_command(program);
}

}  // namespace ulmus::cli
