#pragma once

#include <string>
#include <vector>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {

/// A fault to inject at a system call of a program.
struct Fault {
  std::string call;  ///< see faults.c
  long at = 0;       ///< from 1
  int code = 0;      ///< errno with which the call fails
  int signal = 0;    ///< sent before the call, which then succeeds
};

/// An error that the call may return: a full disk, too many open files.
int error_of(const std::string& call);

/// Returns 1 if ULMUS_CRASH_ALL is set, which tests every point and takes an hour; otherwise `step`.
long step_of_points(long step);

/// A training of about a second in the folder `o`, with faults injected at one call after the other.
class CrashTest : public CliTest {
 protected:
  CrashTest();

  const Arguments command_ = {"train",
                              "--data",
                              "csv:t.csv?label=kind",
                              "--loss",
                              "elm:lambda=0.5+drw",
                              "--epochs",
                              "2",
                              "--batch-size",
                              "16",
                              "--validation",
                              "3",
                              "--threads",
                              "1",
                              "--jobs",
                              "1",
                              "--quiet",
                              "--out",
                              "o"};
  static constexpr const char* k_checkpoint = "elm-lambda-0.5-drw.seed0.safetensors";
  const Arguments resume_ = {"train", "--resume", "o", "--quiet"};

  /// The environment of a program that gets the fault inside `o`.
  Place with(const Fault& fault) const;
  Outcome run_with(const Fault& fault, const Arguments& arguments) const { return ulmus(arguments, with(fault)); }

  /// Every `step`-th call of these kinds that the program makes inside `o`, or of all kinds if none is given. The
  /// program must succeed. The caller sets the fault.
  std::vector<Fault> points(const Arguments& arguments, long step, const std::vector<std::string>& kinds = {}) const;

  /// Returns whether there are temporary files in `o`.
  bool has_temporaries() const;

  /// Makes `half`, a run that was killed between its two checkpoints.
  void make_half() const;
  /// Replaces `o` by a copy of a folder.
  void begin_from(const std::string& folder) const;

  /// Completes a disturbed run: with --resume if there is a run, or by repeating the command. Afterwards the run must
  /// equal the one in `whole`. Returns which of the two was used.
  enum class Cure { resumed, given_again, failed };
  Cure cure() const;
};

/// Checks that there is at most one line, and that the exit code states whose fault it was.
::testing::AssertionResult ended_well(const Outcome& outcome, const std::vector<int>& codes);

}  // namespace ulmus::cli_test
