// A full disk: at the first file, during training, at the report.

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

class FullDisk : public CliTest {
 protected:
  /// Mounts a small disk that only this process and its children see.
  void SetUp() override {
    fs::create_directory(path("disk"));
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("ulmus-test", path("disk").c_str(), "tmpfs", 0, "size=4k") != 0)
      GTEST_SKIP() << "no mount of our own: " << std::strerror(errno);
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(path("disk").c_str(), MNT_DETACH);
  }

  void resize(const std::string& size) const {
    ASSERT_EQ(::mount("ulmus-test", path("disk").c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()), 0)
        << std::strerror(errno);
  }

  Arguments small_run(const std::string& out) const { return compare({"--losses", "ce", "--quiet", "--out", out}); }

  ::testing::AssertionResult says_full(const Outcome& outcome) const {
    return complains(outcome, 5, {"No space left on device", "disk/o"});
  }

 private:
  bool mounted_ = false;
};

TEST_F(FullDisk, AtTheStartLeavesNothing) {
  EXPECT_TRUE(says_full(run(small_run("disk/o"))));
  EXPECT_TRUE(fs::is_empty(path("disk")));
}

TEST_F(FullDisk, BeforeTheFirstCheckpointLeavesNothing) {
  resize("100k");
  EXPECT_TRUE(says_full(run(small_run("disk/o"))));
  EXPECT_TRUE(fs::is_empty(path("disk")));
}

TEST_F(FullDisk, InTheMiddleKeepsWhatCanGoOn) {
  resize("300k");
  EXPECT_TRUE(says_full(run(small_run("disk/o"))));
  EXPECT_TRUE(fs::exists(path("disk/o/checkpoints/ce.seed0.safetensors")));
  for (const std::string& name : contents()) EXPECT_FALSE(has(name, ".tmp")) << name;
  EXPECT_TRUE(says_full(run({"compare", "--resume", "disk/o", "--quiet"})));

  resize("10m");
  const Outcome resumed = run({"compare", "--resume", "disk/o", "--quiet"});
  ASSERT_EQ(resumed.code, 0) << resumed;
  ASSERT_EQ(run(small_run("whole")).code, 0);
  EXPECT_TRUE(same_run(path("whole"), path("disk/o")));
}

TEST_F(FullDisk, WhileFeaturesAreWrittenKeepsThoseThatAre) {
  write_image_folder(path("photos/train"), {"cat", "dog", "elk"}, 300, 12);
  write_image_folder(path("photos/test"), {"cat", "dog", "elk"}, 2, 12);
  const auto heads = [](const std::string& weights, const std::string& out) {
    return Arguments{"train",     "--data",   "folder:photos",
                     "--loss",    "ce",       "--model",
                     "conv3",     "--epochs", "1",
                     "--threads", "1",        "--quiet",
                     "--out",     out,        "--weights",
                     weights,     "--freeze", weights == "none" ? "none" : "backbone"};
  };
  ASSERT_EQ(run(heads("none", "first")).code, 0);
  const std::string weights = "first/checkpoints/ce.seed0.safetensors";
  resize("200k");  // 900 x 64 features take 230 kB
  EXPECT_TRUE(says_full(run(heads(weights, "disk/o"))));
  EXPECT_TRUE(fs::is_empty(path("disk"))) << "nothing was computed that could be kept";
  resize("420k");  // those of the training part fit, and not all else
  const Outcome again = run(heads(weights, "disk/o"));
  if (again.code != 0) {
    EXPECT_TRUE(says_full(again));
    EXPECT_TRUE(fs::exists(path("disk/o/features")));
    resize("10m");
    const Outcome resumed = run({"train", "--resume", "disk/o"});
    EXPECT_EQ(resumed.code, 0) << resumed;
  }
  ASSERT_EQ(run(heads(weights, "whole")).code, 0);
  EXPECT_TRUE(same_run(path("whole"), path("disk/o")));
}

TEST_F(FullDisk, AtTheReportKeepsTheResults) {
  resize("10m");
  ASSERT_EQ(run(small_run("disk/o")).code, 0);
  fs::remove(path("disk/o/report.html"));
  fs::remove(path("disk/o/summary.json"));
  resize("200k");
  EXPECT_TRUE(says_full(run({"report", "disk/o"})));
  EXPECT_FALSE(fs::exists(path("disk/o/report.html")));
  resize("10m");
  EXPECT_EQ(run({"report", "disk/o"}).code, 0);
}

}  // namespace
}  // namespace ulmus::cli_test
