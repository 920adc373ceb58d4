// A run folder is a database: a system call that fails, or a kill at it, whichever it is, leaves a folder that goes on
// to the same bits, or in which the same command can be given again. Every third point is tried; with ULMUS_CRASH_ALL=1
// every one.

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

struct Fault {
  const char* call;
  int code;  ///< errno; 0: killed
};

std::string name_of(const Fault& fault) {
  return fmt::format("{}_{}", fault.call, fault.code == 0 ? "kill" : std::string(::strerrorname_np(fault.code)));
}

class Crash : public CliTest, public ::testing::WithParamInterface<Fault> {
 protected:
  Crash() {
    std::string table = "size,colour,kind\n";
    for (int i = 0; i < 60; ++i)
      table += fmt::format("{}.{},{},{}\n", i % 5, i, i % 2 ? "red" : "blue", i % 3 ? "a" : "b");
    write_bytes(path("t.csv"), table);
  }

  const Arguments command_ = {"train",
                              "--data",
                              "csv:t.csv?label=kind",
                              "--loss",
                              "elm:lambda=0.5+drw",
                              "--epochs",
                              "2",
                              "--batch-size",
                              "16",
                              "--threads",
                              "1",
                              "--jobs",
                              "1",
                              "--quiet",
                              "--out",
                              "o"};

  /// The program with the n-th call failing.
  Outcome run_with(const Fault& fault, long at, const Arguments& arguments) const {
    const std::vector<std::pair<const char*, std::string>> settings = {
        {"LD_PRELOAD", ULMUS_FAULTS},
        {"ULMUS_FAULT_CALL", fault.call},
        {"ULMUS_FAULT_AT", std::to_string(at)},
        {"ULMUS_FAULT_ERRNO", std::to_string(fault.code)},
        {"ULMUS_FAULT_UNDER", fs::canonical(place_.folder).string() + "/o"},
        {"ULMUS_FAULT_COUNT", path("calls").string()}};
    for (const auto& [name, value] : settings) ::setenv(name, value.c_str(), 1);
    Outcome outcome = run(arguments);
    for (const auto& [name, value] : settings) ::unsetenv(name);
    return outcome;
  }

  bool has_temporaries() const {
    for (const std::string& name : contents())
      if (name.find(".tmp") != std::string::npos) return true;
    return false;
  }
};

TEST_P(Crash, LeavesARunThatGoesOnOrCanBeGivenAgain) {
  const Fault fault = GetParam();
  ASSERT_EQ(run_with(fault, 0, command_).code, 0);
  const long calls = std::stol(read_bytes(path("calls")));
  ASSERT_GT(calls, 0);
  fs::rename(path("o"), path("whole"));
  const bool all = std::getenv("ULMUS_CRASH_ALL") != nullptr;
  const long step = all ? 1 : 3;
  long tried = 0, went_on = 0, again = 0, unharmed = 0;
  for (long at = 1; at <= calls; at += step) {
    SCOPED_TRACE(fmt::format("call {} of {}", at, calls));
    fs::remove_all(path("o"));
    const Outcome outcome = run_with(fault, at, command_);
    ++tried;
    if (fault.code == 0)
      ASSERT_TRUE(outcome.code == -SIGKILL) << outcome;
    else
      ASSERT_TRUE(outcome.code == 0 || (outcome.code == 5 && outcome.error_lines().size() == 1)) << outcome;
    if (fault.code != 0 && std::string(fault.call) != "unlink") {
      EXPECT_FALSE(has_temporaries());
    }
    if (outcome.code == 0) {
      ++unharmed;
    } else if (fs::exists(path("o/config.toml"))) {
      const Outcome resumed = run({"train", "--resume", "o", "--quiet"});
      ASSERT_EQ(resumed.code, 0) << resumed;
      ++went_on;
    } else {
      const Outcome second = run(command_);
      ASSERT_EQ(second.code, 0) << second;
      ++again;
    }
    ASSERT_TRUE(same_run(path("whole"), path("o")));
    EXPECT_FALSE(has_temporaries());
  }
  fmt::print("{}: {} of {} points tried: {} unharmed, {} went on, {} given again\n", name_of(fault), tried, calls,
             unharmed, went_on, again);
}

INSTANTIATE_TEST_SUITE_P(At, Crash,
                         ::testing::Values(Fault{"open", 0}, Fault{"open", EMFILE}, Fault{"open", EINTR},
                                           Fault{"read", EIO}, Fault{"read", EINTR}, Fault{"write", 0},
                                           Fault{"write", ENOSPC}, Fault{"write", EINTR}, Fault{"fsync", 0},
                                           Fault{"fsync", EIO}, Fault{"fsync", EINTR}, Fault{"rename", 0},
                                           Fault{"rename", EIO}, Fault{"close", 0}, Fault{"close", EIO},
                                           Fault{"close", EINTR}, Fault{"mkdir", 0}, Fault{"mkdir", ENOSPC},
                                           Fault{"unlink", 0}, Fault{"unlink", EIO}, Fault{"flock", 0},
                                           Fault{"flock", ENOLCK}, Fault{"flock", EINTR}),
                         [](const auto& point) { return name_of(point.param); });

}  // namespace
}  // namespace ulmus::cli_test
