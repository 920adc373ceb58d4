// Two processes on one run folder. One of them is stopped at its n-th system call in the folder while the other one
// runs from start to end; then the first continues or is killed. This covers every possible interleaving, one after the
// other.

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "cli/crash_run.hpp"

namespace ulmus::cli_test {
namespace {

class Writers : public CrashTest {
 protected:
  /// Stops `first` at a call, runs `second`, then continues or kills `first`.
  void interleave(const Arguments& first, const Arguments& second, Fault at, bool killed) {
    SCOPED_TRACE(fmt::format("{} number {}, {}", at.call, at.at, killed ? "killed" : "continued"));
    at.signal = SIGSTOP;
    Process stopped(first, with(at));
    ASSERT_TRUE(stopped.stops());
    const Outcome other = run(second);
    ASSERT_TRUE(ended_well(other, {0, 2, 5}));
    if (other.code == 0) {
      ASSERT_TRUE(same_run(path("whole"), path("o")));
    }
    stopped.signal(killed ? SIGKILL : SIGCONT);
    const Outcome outcome = stopped.wait();
    ASSERT_TRUE(ended_well(outcome, killed ? std::vector{-SIGKILL} : std::vector{0, 2, 5}));
    EXPECT_TRUE(other.code == 0 || killed || outcome.code == 0) << "neither wrote it\n" << other << outcome;
    first_done_ += outcome.code == 0;
    second_done_ += other.code == 0;
    ++tried_;
    ASSERT_NE(cure(), Cure::failed) << "first " << outcome << "second " << other;
  }

  void tell(const char* what) const {
    fmt::print("two {}: {} points tried, the one that was stopped wrote the run {} times, the other one {}\n", what,
               tried_, first_done_, second_done_);
  }

  long tried_ = 0, first_done_ = 0, second_done_ = 0;
};

TEST_F(Writers, OfAFreshRunDoNotHarmEachOther) {
  const std::vector<Fault> points = this->points(command_, 20);
  fs::rename(path("o"), path("whole"));
  bool killed = false;
  for (const Fault& at : points) {
    fs::remove_all(path("o"));
    ASSERT_NO_FATAL_FAILURE(interleave(command_, command_, at, killed = !killed));
  }
  tell("fresh runs on one folder");
}

TEST_F(Writers, WhoResumeDoNotHarmEachOther) {
  ASSERT_EQ(run(command_).code, 0);
  fs::rename(path("o"), path("whole"));
  ASSERT_NO_FATAL_FAILURE(make_half());
  begin_from("half");
  bool killed = false;
  for (const Fault& at : points(resume_, 20)) {
    begin_from("half");
    ASSERT_NO_FATAL_FAILURE(interleave(resume_, resume_, at, killed = !killed));
  }
  tell("that resume one run");
}

/// A reader and a training: one of them is stopped, the other one continues.
class Readers : public CrashTest {
 protected:
  /// The test accuracy of every epoch.
  std::vector<double> accuracies() const {
    std::vector<double> all;
    const std::string lines = read_bytes(path("o/metrics.jsonl"));
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', begin), lines.size());
      const auto line = nlohmann::json::parse(lines.substr(begin, end - begin), nullptr, false);
      if (!line.is_discarded()) all.push_back(line.at("test").at("balanced_accuracy"));
      begin = end + 1;
    }
    return all;
  }

  /// Checks that the output of eval belongs to the weights of a single epoch.
  void expect_whole(const Outcome& eval) const {
    ASSERT_EQ(eval.code, 0) << eval;
    const std::vector<double> accuracies = this->accuracies();
    const double came = nlohmann::json::parse(eval.out).at("results").at(0).at("evaluation").at("balanced_accuracy");
    EXPECT_TRUE(std::ranges::find(accuracies, came) != accuracies.end())
        << came << " of " << fmt::format("{}", fmt::join(accuracies, ", "));
  }

  const Arguments eval_ = {"eval", "--run", "o", "--json"};
};

TEST_F(Readers, OfATrainingThatIsStoppedSeeAWholeState) {
  const std::vector<Fault> points = this->points(command_, 24);
  fs::rename(path("o"), path("whole"));
  long read = 0, early = 0;
  for (Fault at : points) {
    SCOPED_TRACE(fmt::format("{} number {}", at.call, at.at));
    at.signal = SIGSTOP;
    fs::remove_all(path("o"));
    Process training(command_, with(at));
    ASSERT_TRUE(training.stops());
    const Outcome eval = run(eval_), report = run({"report", "o"});
    if (eval.code == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_whole(eval));
      ++read;
    } else {
      ASSERT_TRUE(ended_well(eval, {2, 3}));
      EXPECT_FALSE(fs::exists(path("o/checkpoints") / k_checkpoint)) << eval;
      ++early;
    }
    ASSERT_TRUE(ended_well(report, {0, 2, 3}));
    training.signal(SIGCONT);
    ASSERT_EQ(training.wait().code, 0);
    ASSERT_TRUE(same_run(path("whole"), path("o")));
  }
  fmt::print(
      "readers of a training that is stopped: {} points, {} read a whole state, {} were told there is none yet\n",
      points.size(), read, early);
}

TEST_F(Readers, ThatAreStoppedWhileATrainingGoesOnSeeAWholeState) {
  ASSERT_NO_FATAL_FAILURE(make_half());
  begin_from("half");
  const std::vector<Fault> points = this->points(eval_, 4, {"open", "read", "close"});
  for (Fault at : points) {
    SCOPED_TRACE(fmt::format("{} number {}", at.call, at.at));
    at.signal = SIGSTOP;
    begin_from("half");
    Process reader(eval_, with(at));
    ASSERT_TRUE(reader.stops());
    ASSERT_EQ(run(resume_).code, 0);
    reader.signal(SIGCONT);
    ASSERT_NO_FATAL_FAILURE(expect_whole(reader.wait()));
  }
  fmt::print("readers that are stopped while a training goes on: {} points, a whole state at each\n", points.size());
}

}  // namespace
}  // namespace ulmus::cli_test
