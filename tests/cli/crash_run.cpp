#include "cli/crash_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <map>
#include <sstream>

namespace ulmus::cli_test {

int error_of(const std::string& call) {
  static const std::map<std::string, int> codes = {
      {"open", EMFILE}, {"write", ENOSPC}, {"mkdir", ENOSPC}, {"flock", ENOLCK}, {"thread", EAGAIN}};
  const auto found = codes.find(call);
  return found == codes.end() ? EIO : found->second;
}

long step_of_points(long step) { return std::getenv("ULMUS_CRASH_ALL") ? 1 : step; }

CrashTest::CrashTest() {
  std::string table = "size,colour,kind\n";
  for (int i = 0; i < 60; ++i)
    table += fmt::format("{}.{},{},{}\n", i % 5, i, i % 2 ? "red" : "blue", i % 3 ? "a" : "b");
  write_bytes(path("t.csv"), table);
}

Place CrashTest::with(const Fault& fault) const {
  Place place = place_;
  place.environment = {{"LD_PRELOAD", ULMUS_FAULTS},
                       {"ULMUS_FAULT_CALL", fault.call},
                       {"ULMUS_FAULT_AT", std::to_string(fault.at)},
                       {"ULMUS_FAULT_ERRNO", std::to_string(fault.code)},
                       {"ULMUS_FAULT_SIGNAL", std::to_string(fault.signal)},
                       {"ULMUS_FAULT_UNDER", fs::canonical(place_.folder).string() + "/o"},
                       {"ULMUS_FAULT_COUNT", path("calls").string()}};
  return place;
}

std::vector<Fault> CrashTest::points(const Arguments& arguments, long step,
                                     const std::vector<std::string>& kinds) const {
  const Outcome outcome = run_with({}, arguments);
  EXPECT_EQ(outcome.code, 0) << outcome;
  std::vector<Fault> points;
  std::istringstream counts(read_bytes(path("calls")));
  long calls = 0, n = 0;
  for (std::string kind; counts >> kind >> calls;) {
    if (!kinds.empty() && std::ranges::find(kinds, kind) == kinds.end()) continue;
    for (long at = 1; at <= calls; ++at)
      if (n++ % step_of_points(step) == 0) points.push_back({.call = kind, .at = at});
  }
  EXPECT_FALSE(points.empty());
  return points;
}

void CrashTest::make_half() const {
  for (long at = 1;; ++at) {
    fs::remove_all(path("o"));
    const Outcome outcome = run_with({.call = "rename", .at = at, .signal = SIGKILL}, command_);
    ASSERT_EQ(outcome.code, -SIGKILL) << outcome;
    if (fs::exists(path("o/checkpoints") / k_checkpoint)) break;
  }
  fs::rename(path("o"), path("half"));
}

void CrashTest::begin_from(const std::string& folder) const {
  fs::remove_all(path("o"));
  fs::copy(path(folder), path("o"), fs::copy_options::recursive);
}

bool CrashTest::has_temporaries() const {
  return std::ranges::any_of(contents(), [](const std::string& name) {
    return name.starts_with("o/") && name.find(".tmp") != std::string::npos;
  });
}

CrashTest::Cure CrashTest::cure() const {
  const bool begun = fs::exists(path("o/config.toml"));
  const Outcome outcome = run(begun ? resume_ : command_);
  EXPECT_EQ(outcome.code, 0) << outcome;
  const bool same = outcome.code == 0 && same_run(path("whole"), path("o"));
  EXPECT_TRUE(same);
  EXPECT_FALSE(has_temporaries());
  return !same ? Cure::failed : begun ? Cure::resumed : Cure::given_again;
}

::testing::AssertionResult ended_well(const Outcome& outcome, const std::vector<int>& codes) {
  if (std::ranges::find(codes, outcome.code) == codes.end())
    return ::testing::AssertionFailure() << "expected one of " << fmt::format("{}", fmt::join(codes, ", ")) << "\n"
                                         << outcome;
  if (outcome.code > 0 && outcome.error_lines().size() != 1)
    return ::testing::AssertionFailure() << "expected one line\n" << outcome;
  return ::testing::AssertionSuccess();
}

}  // namespace ulmus::cli_test
