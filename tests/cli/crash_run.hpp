#pragma once

#include <string>
#include <vector>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {

/// What happens to a program at a call of its system.
struct Fault {
  std::string call;  ///< see faults.c
  long at = 0;       ///< from 1
  int code = 0;      ///< errno that it fails with
  int signal = 0;    ///< sent before the call, which then does not fail
};

/// An error that each call may have: a full disk, too many open files.
int error_of(const std::string& call);

/// Every point where ULMUS_CRASH_ALL is set, which takes an hour; otherwise every `step`-th.
long step_of_points(long step);

/// A training of a second that is disturbed at one call after the other, in the folder `o`.
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

  /// The place of a program that is disturbed inside `o`.
  Place with(const Fault& fault) const;
  Outcome run_with(const Fault& fault, const Arguments& arguments) const { return ulmus(arguments, with(fault)); }

  /// Every `step`-th of the calls of these kinds that the program makes inside `o`, all kinds where none is named. It
  /// must succeed. What happens there is for the caller to set.
  std::vector<Fault> points(const Arguments& arguments, long step, const std::vector<std::string>& kinds = {}) const;

  /// Whether there are any in `o`.
  bool has_temporaries() const;

  /// Makes `half`, a run that was killed between its two checkpoints.
  void make_half() const;
  /// `o` becomes a copy of a folder.
  void begin_from(const std::string& folder) const;

  /// Ends what was disturbed: by --resume where there is a run, or by the command. The run then is that in `whole`.
  /// Says which of the two it was.
  enum class Cure { resumed, given_again, failed };
  Cure cure() const;
};

/// One line, or none; a code that says whose fault it was.
::testing::AssertionResult ended_well(const Outcome& outcome, const std::vector<int>& codes);

}  // namespace ulmus::cli_test
