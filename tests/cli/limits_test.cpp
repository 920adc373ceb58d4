// The environment of a run: limits of files, memory and sizes, locales, and standard streams that are closed or full.

#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

#include "cli/crash_run.hpp"

namespace ulmus::cli_test {
namespace {

class Limits : public CrashTest {
 protected:
  Limits() {
    EXPECT_EQ(run(command_).code, 0);
    fs::rename(path("o"), path("whole"));
  }

  /// Trains under the limit, and then without it.
  void train_under(int resource, std::uint64_t most) {
    SCOPED_TRACE(fmt::format("at most {}", most));
    fs::remove_all(path("o"));
    Place place = place_;
    place.limits = {{resource, most}};
    const Outcome outcome = ulmus(command_, place);
    ASSERT_TRUE(ended_well(outcome, {0, 5}));
    EXPECT_FALSE(has_temporaries());
    ++tried_;
    unharmed_ += outcome.code == 0;
    ASSERT_NE(cure(), Cure::failed) << outcome;
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names = contents();
    std::erase_if(names, [&](const std::string& name) { return fs::is_directory(path(name)); });
    return names;
  }

  long tried_ = 0, unharmed_ = 0;
};

TEST_F(Limits, OfOpenFilesEndInOneLine) {
  // With fewer, the shared libraries cannot be opened.
  std::uint64_t fewest = 3;
  while (ulmus({"--version"}, {.limits = {{RLIMIT_NOFILE, fewest}}}).code != 0) ++fewest;
  ASSERT_LT(fewest, 30u);
  for (std::uint64_t most = fewest; most < fewest + 12; most += static_cast<std::uint64_t>(step_of_points(3)))
    ASSERT_NO_FATAL_FAILURE(train_under(RLIMIT_NOFILE, most));
  fmt::print("ulimit -n from {}: {} tried, {} unharmed\n", fewest, tried_, unharmed_);
}

TEST_F(Limits, OfTheSizeOfFilesEndInOneLine) {
  std::uint64_t largest = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path("whole")))
    if (entry.is_regular_file()) largest = std::max<std::uint64_t>(largest, entry.file_size());
  for (std::uint64_t most = 0; most < 2 * largest; most = most * (step_of_points(2) == 1 ? 5 : 48) / 4 + 7)
    ASSERT_NO_FATAL_FAILURE(train_under(RLIMIT_FSIZE, most));
  fmt::print("ulimit -f up to {} bytes: {} tried, {} unharmed\n", 2 * largest, tried_, unharmed_);
  EXPECT_GT(tried_, unharmed_);
}

TEST_F(Limits, OfTheSizeOfFilesLeaveWhatWasThere) {
  ASSERT_EQ(run(command_).code, 0);
  Place place = place_;
  place.limits = {{RLIMIT_FSIZE, 50}};
  for (const Arguments& command :
       {Arguments{"report", "o"}, Arguments{"predict", "--run", "o", "t.csv", "--out", "o/p.csv"},
        Arguments{"export", "--run", "o", "--format", "safetensors", "--out", "o/e.safetensors"},
        Arguments{"tune", "--run", "o", "--losses", "ce", "--jobs", "1", "--apply"}}) {
    const std::vector<std::string> before = files();
    const std::string report = read_bytes(path("o/report.html"));
    const Outcome outcome = ulmus(command, place);
    ASSERT_TRUE(ended_well(outcome, {5}));
    EXPECT_EQ(files(), before) << command[0];
    EXPECT_EQ(read_bytes(path("o/report.html")), report);
    EXPECT_EQ(run(command).code, 0);
  }
}

/// Locales built for the test, if the machine has their sources.
class Locales : public CrashTest {
 protected:
  /// Returns whether `name` can be set now.
  bool make(const std::string& name, const std::string& input, const std::string& charmap) const {
    const std::string command =
        fmt::format("localedef -i {} -f {} '{}' 2>/dev/null", input, charmap, (path("locales") / name).string());
    fs::create_directories(path("locales"));
    return std::system(command.c_str()) == 0;
  }
};

TEST_F(Locales, GiveTheSameBits) {
  struct Named {
    const char *name, *input, *charmap;
  };
  const Named named[] = {{"C", nullptr, nullptr},
                         {"C.UTF-8", nullptr, nullptr},
                         {"de_DE.UTF-8", "de_DE", "UTF-8"},
                         {"tr_TR.UTF-8", "tr_TR", "UTF-8"},
                         {"fr_FR.ISO-8859-1", "fr_FR", "ISO-8859-1"}};
  write_bytes(path("d.csv"), "size,name,kind\n0.5,\xc4\xb0I\xc4\xb1i,a\n1.25,\xc3\xa4\xc3\xb6,b\n");
  std::string outputs, files;
  long tried = 0;
  for (const Named& locale : named) {
    SCOPED_TRACE(locale.name);
    if (locale.input && !make(locale.name, locale.input, locale.charmap)) {
      fmt::print("no locale {} on this machine\n", locale.name);
      continue;
    }
    fs::remove_all(path("o"));
    Place place = place_;
    place.environment = {{"LC_ALL", locale.name}, {"LANG", locale.name}, {"LANGUAGE", locale.name}};
    if (locale.input) place.environment.emplace_back("LOCPATH", path("locales").string());
    const auto output = [&](const Arguments& arguments) {
      const Outcome outcome = ulmus(arguments, place);
      EXPECT_EQ(outcome.code, 0) << outcome;
      return outcome.out + outcome.err;
    };
    output(command_);
    const std::string said = output({"eval", "--run", "o", "--json"}) +
                             output({"inspect", "--data", "csv:d.csv?label=kind", "--json"}) +
                             output({"predict", "--run", "o", "t.csv", "--out", "p.csv"});
    const std::string written = read_bytes(path("o/config.toml")) + read_bytes(path("o/split.json")) +
                                read_bytes(path("o/columns.json")) + read_bytes(path("p.csv")) +
                                tensors_of(path("o/checkpoints/elm-lambda-0.5-drw.seed0.safetensors")) +
                                without_times(read_json(path("o/summary.json"))).dump();
    if (tried++ == 0) {
      outputs = said;
      files = written;
      fs::rename(path("o"), path("whole"));
      continue;
    }
    EXPECT_EQ(said, outputs);
    EXPECT_EQ(written, files);
    EXPECT_TRUE(same_run(path("whole"), path("o")));
  }
  fmt::print("{} of {} locales tried, the same bits in all\n", tried, std::size(named));
}

class Streams : public CrashTest {
 protected:
  Streams() {
    EXPECT_EQ(run(command_).code, 0);
    fs::copy(path("o"), path("whole"), fs::copy_options::recursive);
  }
  /// Every command, and whether it prints its result.
  const std::vector<std::pair<Arguments, bool>> commands_ = {
      {{"inspect", "--data", "csv:t.csv?label=kind"}, true},
      {{"losses"}, true},
      {{"train", "--resume", "o"}, false},
      {{"compare", "--resume", "o"}, false},
      {{"report", "o"}, false},
      {{"eval", "--run", "o"}, true},
      {{"predict", "--run", "o", "t.csv"}, true},
      {{"tune", "--run", "o", "--losses", "ce", "--jobs", "1"}, true},
      {{"export", "--run", "o", "--format", "safetensors", "--out", "e.safetensors"}, false}};
};

TEST_F(Streams, ThatAreClosedOrFullHarmNoRun) {
  long tried = 0, failed = 0;
  for (const auto& [command, prints] : commands_) {
    for (const char* how : {"all closed", "output full", "messages full"}) {
      SCOPED_TRACE(fmt::format("{} with {}", command[0], how));
      Place place = place_;
      if (how == std::string("all closed")) place.closed = {0, 1, 2};
      if (how == std::string("output full")) place.standard_output = "/dev/full";
      if (how == std::string("messages full")) place.standard_error = "/dev/full";
      const Outcome outcome = ulmus(command, place);
      ++tried;
      failed += outcome.code != 0;
      if (!place.standard_error.empty()) {
        EXPECT_EQ(outcome.code, 0) << outcome;
      } else if (prints) {
        EXPECT_EQ(outcome.code, 5) << outcome;
      } else {
        EXPECT_TRUE(outcome.code == 0 || outcome.code == 5) << outcome;
      }
      EXPECT_TRUE(same_run(path("whole"), path("o")));
    }
  }
  fmt::print("{} commands with streams closed or full: {} tried, {} ended with exit code 5\n", commands_.size(), tried,
             failed);
}

TEST_F(Streams, ThatAreClosedAreNoFilesOfTheRun) {
  for (const std::vector<int>& closed : std::vector<std::vector<int>>{{1}, {2}, {0, 1, 2}}) {
    fs::remove_all(path("o"));
    Place place = place_;
    place.closed = closed;
    Arguments loud = command_;
    std::erase(loud, "--quiet");
    const Outcome outcome = ulmus(loud, place);
    EXPECT_TRUE(outcome.code == 0 || outcome.code == 5) << outcome;
    EXPECT_TRUE(same_run(path("whole"), path("o")));
  }
}

}  // namespace
}  // namespace ulmus::cli_test
