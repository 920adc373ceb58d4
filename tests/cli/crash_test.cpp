// A run folder behaves like a database: after a system call that fails, or a signal during it, the run can be resumed
// to the same bits, or the same command can be repeated in the folder.

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <map>

#include "cli/crash_run.hpp"

namespace ulmus::cli_test {
namespace {

/// A fault, and the step between tested points if not all are tested.
struct Disturbance {
  const char* name;
  int code, signal;  ///< as in Fault; a code of -1 means error_of
  long step;
  std::vector<std::string> calls = {};  ///< empty: all
};

class Crash : public CrashTest, public ::testing::WithParamInterface<Disturbance> {};

TEST_P(Crash, LeavesARunThatGoesOnOrCanBeGivenAgain) {
  const Disturbance disturbance = GetParam();
  const bool killed = disturbance.signal == SIGKILL, ended = disturbance.signal != 0 && !killed;
  const std::vector<int> codes = killed ? std::vector{-SIGKILL} : ended ? std::vector{0, 130} : std::vector{0, 5};
  struct Counts {
    long tried = 0, unharmed = 0, went_on = 0, again = 0;
  };
  std::map<std::string, Counts> counts;
  const std::vector<Fault> points = this->points(command_, disturbance.step, disturbance.calls);
  fs::rename(path("o"), path("whole"));
  for (Fault fault : points) {
    SCOPED_TRACE(fmt::format("{} number {}", fault.call, fault.at));
    fault.code = disturbance.code == -1 ? error_of(fault.call) : disturbance.code;
    fault.signal = disturbance.signal;
    fs::remove_all(path("o"));
    const Outcome outcome = run_with(fault, command_);
    Counts& of = counts[fault.call];
    ++of.tried;
    ASSERT_TRUE(ended_well(outcome, codes));
    if (fault.signal == 0 && fault.call != "unlink") {
      EXPECT_FALSE(has_temporaries());
    }
    if (outcome.code == 0) {
      ++of.unharmed;
      ASSERT_TRUE(same_run(path("whole"), path("o")));
      continue;
    }
    const Cure cure = this->cure();
    ASSERT_NE(cure, Cure::failed) << outcome;
    ++(cure == Cure::resumed ? of.went_on : of.again);
  }
  for (const auto& [call, of] : counts)
    fmt::print("{} at {}: {} points tried: {} unharmed, {} went on, {} begun again\n", disturbance.name, call, of.tried,
               of.unharmed, of.went_on, of.again);
}

INSTANTIATE_TEST_SUITE_P(
    At, Crash,
    ::testing::Values(Disturbance{"error", -1, 0, 10},
                      Disturbance{"interruption", EINTR, 0, 20, {"open", "read", "write", "fsync", "close", "flock"}},
                      Disturbance{"kill", 0, SIGKILL, 9}, Disturbance{"SIGTERM", 0, SIGTERM, 20},
                      Disturbance{"SIGINT", 0, SIGINT, 21}),
    [](const auto& point) { return point.param.name; });

/// A run with a frozen backbone gets a failing call while it writes backbone, features, checkpoint or result.
TEST_F(CrashTest, WithAFrozenBackboneLeavesARunThatGoesOnOrCanBeGivenAgain) {
  write_image_folder(path("photos"), {"cat", "dog", "elk"}, 6);
  const Arguments common = {"train",    "--data", "folder:photos", "--loss", "ce",     "--model", "conv3",
                            "--epochs", "2",      "--batch-size",  "9",      "--jobs", "1",       "--threads",
                            "1",        "--quiet"};
  ASSERT_EQ(run(common + Arguments{"--out", "first"}).code, 0);
  const Arguments heads =
      common + Arguments{"--weights", "first/checkpoints/ce.seed0.safetensors", "--freeze", "backbone", "--out", "o"};
  const std::vector<Fault> points = this->points(heads, 6, {"write", "rename", "fsync"});
  fs::create_directory(path("away"));  // a run beside it would lend its features
  fs::rename(path("o"), path("away/whole"));
  for (Fault fault : points)
    for (const int signal : {0, SIGKILL}) {
      SCOPED_TRACE(fmt::format("{} number {}, signal {}", fault.call, fault.at, signal));
      fs::remove_all(path("o"));
      fault.signal = signal;
      fault.code = error_of(fault.call);
      const Outcome outcome = run_with(fault, heads);
      ASSERT_TRUE(ended_well(outcome, signal ? std::vector{-SIGKILL} : std::vector{0, 5}));
      if (outcome.code != 0) {
        const Outcome cure = run(fs::exists(path("o/config.toml")) ? resume_ : heads);
        ASSERT_EQ(cure.code, 0) << cure;
      }
      ASSERT_TRUE(same_run(path("away/whole"), path("o")));
      EXPECT_EQ(weights_of(path("o/backbone.safetensors")), weights_of(path("away/whole/backbone.safetensors")));
      EXPECT_FALSE(has_temporaries());
    }
}

/// A command that reads a run gets a failing call in its folder.
TEST_F(CrashTest, OfAReaderEndsInOneLineAndChangesNothing) {
  ASSERT_EQ(run(command_).code, 0);
  fs::copy(path("o"), path("whole"), fs::copy_options::recursive);
  long tried = 0, unharmed = 0;
  for (const Arguments& reader : {Arguments{"report", "o"}, Arguments{"eval", "--run", "o", "--json"},
                                  Arguments{"predict", "--run", "o", "t.csv", "--out", "o/p.csv"},
                                  Arguments{"tune", "--run", "o", "--losses", "ce", "--jobs", "1"},
                                  Arguments{"export", "--run", "o", "--format", "safetensors", "--out", "o/e"}}) {
    for (Fault fault : points(reader, 12)) {
      SCOPED_TRACE(fmt::format("{}: {} number {}", reader[0], fault.call, fault.at));
      fault.code = error_of(fault.call);
      const Outcome outcome = run_with(fault, reader);
      ++tried;
      unharmed += outcome.code == 0;
      ASSERT_TRUE(ended_well(outcome, {0, 5}));
      ASSERT_TRUE(fault.call == "unlink" || !has_temporaries());
      ASSERT_TRUE(same_run(path("whole"), path("o")));
    }
    ASSERT_EQ(run(reader).code, 0);
  }
  fmt::print("readers with a call that fails: {} points tried, {} unharmed, the others one line\n", tried, unharmed);
}

/// The system provides fewer threads than requested, or none.
TEST_F(CrashTest, WithoutThreadsTheSameIsDone) {
  const Arguments training =
      compare({"--epochs", "1", "--jobs", "2", "--loader-threads", "3", "--quiet", "--out", "o"});
  const Arguments inspection = {"inspect", "--data", "mnist", "--data-root", "root"};
  long tried = 0;
  for (const Arguments& command : {training, inspection}) {
    const std::vector<Fault> points = this->points(command, 3, {"thread"});
    const std::string expected = command == inspection ? run(inspection).out : "";
    if (command == training) fs::rename(path("o"), path("whole"));
    for (Fault fault : points) {
      SCOPED_TRACE(fmt::format("{}: thread {}", command[0], fault.at));
      fault.code = EAGAIN;
      fs::remove_all(path("o"));
      const Outcome outcome = run_with(fault, command);
      ++tried;
      ASSERT_EQ(outcome.code, 0) << outcome;
      if (command == inspection)
        EXPECT_EQ(outcome.out, expected);
      else
        ASSERT_TRUE(same_run(path("whole"), path("o")));
    }
  }
  fmt::print("{} threads denied, the same results in all\n", tried);
}

}  // namespace
}  // namespace ulmus::cli_test
