// Only one process writes a run at a time; runs of earlier releases; round trips of names and settings.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class Folder : public CliTest {};

TEST_F(Folder, ASecondWriterIsToldWhoHasTheRun) {
  Process first(compare({"--epochs", "200", "--jobs", "1", "--out", "o"}), place_);
  ASSERT_TRUE(appears(path("o/checkpoints/ce.seed0.safetensors")));
  EXPECT_TRUE(complains(run({"compare", "--resume", "o", "--quiet"}), 5, {"'o' is being written by process "}));
  EXPECT_EQ(run({"eval", "--run", "o"}).code, 0);
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait().code, 130);
  EXPECT_FALSE(fs::exists(path("o/lock")));
}

TEST_F(Folder, AFreshRunThatIsRefusedLeavesTheFolderToTheOther) {
  fs::create_directories(path("o"));
  const int file = ::open(path("o/lock").c_str(), O_RDWR | O_CREAT, 0666);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  ASSERT_GT(::write(file, "process 7 on elsewhere since then\n", 34), 0);
  EXPECT_TRUE(complains(run(compare({"--quiet", "--out", "o"})), 5, {"process 7 on elsewhere since then"}));
  EXPECT_TRUE(fs::exists(path("o/lock")));
  ::close(file);
  EXPECT_EQ(run(compare({"--quiet", "--out", "o"})).code, 0);
}

TEST_F(Folder, SettingsOfEveryPathGoRound) {
  const std::string odd = "a \"b\" \\c # 'd' \xc3\xa4\nnext = 1";
  fs::create_directories(path(odd));
  fs::rename(path("root/mnist"), path(odd) / "mnist");
  const Outcome first = run(compare({"--epochs", "1", "--quiet", "--out", "o", "--data-root", odd}));
  ASSERT_EQ(first.code, 0) << first;
  EXPECT_EQ(run({"eval", "--run", "o"}).code, 0);
  EXPECT_EQ(run({"compare", "--resume", "o", "--quiet"}).code, 0);
  EXPECT_EQ(run({"compare", "--config", "o/config.toml", "--quiet", "--out", "p"}).code, 0);
  EXPECT_TRUE(same_run(path("o"), path("p")));
}

TEST_F(Folder, MistakesInSettingsNameLineAndKey) {
  write_bytes(path("c.toml"), "data = \"mnist\"\nepochs = \"many\"\n");
  EXPECT_TRUE(complains(run({"compare", "--config", "c.toml"}), 2, {"'c.toml', line 2", "epochs", "\"many\""}));
  write_bytes(path("c.toml"), "data = \"mnist\"\nepoch = 3\n");
  EXPECT_TRUE(complains(run({"compare", "--config", "c.toml"}), 2, {"line 2", "'epoch'", "did you mean 'epochs'"}));
  write_bytes(path("c.toml"), "\ndata = mnist\n");
  EXPECT_TRUE(complains(run({"compare", "--config", "c.toml"}), 3, {"line 2"}));
}

TEST_F(Folder, MembersOfSimilarNamesHaveFilesOfTheirOwn) {
  const Outcome outcome =
      run(compare({"--losses", "la:tau=1e16,la:tau=1e-16", "--epochs", "1", "--lr", "1e-30", "--quiet", "--out", "o"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(std::distance(fs::directory_iterator(path("o/checkpoints")), {}), 2);
}

TEST_F(Folder, OfUlmus01IsOpened) {
  fs::copy(fs::path(ULMUS_SOURCE_DIR) / "tests/fixtures/run-0.1", place_.folder, fs::copy_options::recursive);
  for (const Arguments& arguments :
       std::vector<Arguments>{{"eval", "--run", "finished"},
                              {"report", "finished"},
                              {"predict", "--run", "finished", "--loss", "ce", "t.csv"},
                              {"tune", "--run", "finished", "--loss", "ce"},
                              {"train", "--config", "stopped/config.toml", "--quiet", "--out", "whole"},
                              {"train", "--resume", "stopped", "--quiet"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << arguments[0] << outcome;
  }
  EXPECT_TRUE(same_run(path("whole"), path("stopped")));
}

TEST_F(Folder, StandardOutputThatIsFullIsAnError) {
  for (const Arguments& arguments :
       std::vector<Arguments>{{"--help"}, {"train", "--help"}, {"losses"}, {"losses", "--json"}, {"--version"}}) {
    const Outcome outcome = ulmus(arguments, {.folder = place_.folder, .standard_output = "/dev/full"});
    EXPECT_EQ(outcome.code, 5) << outcome;
  }
}

TEST_F(Folder, APipeIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(::mkfifo(path("p.csv").c_str(), 0600), 0);
  EXPECT_TRUE(complains(run({"inspect", "--data", "csv:p.csv?label=y"}), 3, {"p.csv", "pipe"}));
}

TEST_F(Folder, ALimitOfTheAddressSpaceEndsInOneLineAndLeavesNothing) {
  for (const std::uint64_t mebibytes : {600, 700, 800, 900, 1000, 1200}) {
    const Outcome outcome = ulmus(compare({"--jobs", "2", "--out", "o", "--quiet"}),
                                  {.folder = place_.folder, .limits = {{RLIMIT_AS, mebibytes << 20}}});
    if (outcome.code != 0) {
      EXPECT_TRUE(complains(outcome, 5, {"address space is limited to " + std::to_string(mebibytes) + " MiB"}));
      EXPECT_FALSE(fs::exists(path("o")));
    }
    fs::remove_all(path("o"));
  }
}

TEST_F(Folder, EveryVerbEndsAtTheFirstSignal) {
  using std::chrono::milliseconds;
  ASSERT_EQ(run(compare({"--out", "o", "--quiet", "--validation", "2"})).code, 0);
  const std::vector<Arguments> commands{{"eval", "--run", "o"},
                                        {"tune", "--run", "o", "--loss", "ce"},
                                        {"report", "o"},
                                        {"inspect", "--data", "mnist", "--data-root", "root"},
                                        {"bench"}};
  for (const Arguments& arguments : commands)
    for (const int number : {SIGTERM, SIGINT})
      for (const milliseconds delay : {milliseconds(0), milliseconds(300), milliseconds(3000)}) {
        const bool begun = delay > milliseconds(1000), brief = arguments[0] != "bench";
        if (begun && brief) continue;
        Process process(arguments, place_);
        std::this_thread::sleep_for(delay);
        process.signal(number);
        const Outcome outcome = process.wait();
        // An early signal may arrive before the libraries are loaded; a short command may already have ended.
        EXPECT_TRUE(outcome.code == 130 || (brief && outcome.code == 0) || (!begun && outcome.code == -number))
            << arguments[0] << ' ' << delay.count() << ' ' << outcome;
      }
}

}  // namespace
}  // namespace ulmus::cli_test
