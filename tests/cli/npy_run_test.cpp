// Runs on arrays of features: from files, in memory, in shards.

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

template <class Value>
void write_npy(const fs::path& path, const std::string& descr, const std::string& shape,
               const std::vector<Value>& values, bool by_columns = false) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + (by_columns ? "True" : "False") + ", 'shape': " + shape + ", }";
  header.resize(118 - 1, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\1\0v\0", 10);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
  write_bytes(path, bytes);
}

/// 600 samples of 6 features in 3 classes: x.npy by rows, f.npy by columns, and both in two shards.
class NpyRun : public CliTest {
 protected:
  NpyRun() {
    constexpr std::size_t k_rows = 600, k_width = 6;
    std::vector<float> rows(k_rows * k_width), columns(k_rows * k_width);
    std::vector<std::int64_t> labels(k_rows);
    for (std::size_t r = 0; r < k_rows; ++r) {
      labels[r] = r % 6 == 0 ? 2 : static_cast<std::int64_t>(r % 2);
      for (std::size_t c = 0; c < k_width; ++c)
        columns[c * k_rows + r] = rows[r * k_width + c] =
            static_cast<float>(std::sin(static_cast<double>(r * 7 + c * c)) +
                               static_cast<double>(c % 3 == static_cast<std::size_t>(labels[r])));
    }
    write_npy(path("x.npy"), "<f4", "(600, 6)", rows);
    write_npy(path("f.npy"), "<f4", "(600, 6)", columns, true);
    write_npy(path("y.npy"), "<i8", "(600,)", labels);
    const auto part = [](const auto& values, std::size_t begin, std::size_t end) {
      return std::decay_t<decltype(values)>(values.begin() + static_cast<std::ptrdiff_t>(begin),
                                            values.begin() + static_cast<std::ptrdiff_t>(end));
    };
    write_npy(path("x-9.npy"), "<f4", "(200, 6)", part(rows, 0, 200 * k_width));
    write_npy(path("x-10.npy"), "<f4", "(400, 6)", part(rows, 200 * k_width, 600 * k_width));
    write_npy(path("y-9.npy"), "<i8", "(200,)", part(labels, 0, 200));
    write_npy(path("y-10.npy"), "<i8", "(400,)", part(labels, 200, 600));
  }
  Outcome train(const std::string& files, const std::string& out, const Arguments& more = {}) const {
    return run(Arguments{"compare", "--data", "npy:" + files, "--losses", "ce,elm+drw", "--seeds", "1", "--epochs", "3",
                         "--threads", "1", "--out", out, "--quiet"} +
               more);
  }
  std::string weights(const std::string& out) const {
    return tensors_of(path(out) / "checkpoints/ce.seed0.safetensors");
  }
};

TEST_F(NpyRun, FromAFileIsTheRunInMemoryWhateverTheShuffle) {
  for (const std::string shuffle : {"full", "block:rows=16,blocks=4"}) {
    const Arguments more = {"--shuffle", shuffle, "--loader-threads", "2"};
    const std::string name = shuffle.substr(0, 5);
    ASSERT_EQ(train("x.npy,y.npy", "file-" + name, more).code, 0);
    ASSERT_EQ(train("f.npy,y.npy", "memory-" + name, more).code, 0);
    ASSERT_EQ(train("x-*.npy,y-*.npy", "shards-" + name, more).code, 0);
    EXPECT_EQ(weights("file-" + name), weights("memory-" + name));
    EXPECT_EQ(weights("file-" + name), weights("shards-" + name));
    EXPECT_TRUE(has(read_bytes(path("file-" + name) / "config.toml"), "shuffle = \"" + shuffle + "\"\n"));
  }
  EXPECT_NE(weights("file-full"), weights("file-block"));
  ASSERT_EQ(train("x.npy,y.npy", "auto").code, 0);
  EXPECT_TRUE(same_run(path("auto"), path("file-full")));
}

TEST_F(NpyRun, ShardsWorkInEveryCommand) {
  ASSERT_EQ(train("x-*.npy,y.npy", "o", {"--validation", "5", "--model", "linear"}).code, 0);
  EXPECT_EQ(run({"eval", "--run", "o", "--loss", "ce", "--data", "npy:x-9.npy,y-9.npy"}).code, 0);
  EXPECT_EQ(run({"tune", "--run", "o", "--loss", "ce", "--losses", "elm:lambda=0.5"}).code, 0);
  const Outcome inspected = run({"inspect", "--data", "npy:x-*.npy,y-*.npy"});
  EXPECT_TRUE(has(inspected.out, "600 rows of 6 features in 3 classes")) << inspected;
  EXPECT_TRUE(complains(train("x-*.npy,y-9.npy", "p"), 3, {"x-9.npy", "600 rows", "y-9.npy", "200 labels"}));
}

TEST_F(NpyRun, BlocksOfImagesAreRefused) {
  EXPECT_TRUE(complains(run(compare({"--shuffle", "block"})), 2, {"--shuffle block", "the run trains on images"}));
  EXPECT_TRUE(complains(train("x.npy,y.npy", "o", {"--shuffle", "blocks"}), 2, {"--shuffle", "did you mean 'block'"}));
}

TEST_F(NpyRun, KeepsALimitOfOpenMPsThreads) {
  // OpenBLAS waits forever for threads beyond the limit, in products that are large enough for several.
  constexpr std::size_t k_width = 4096;
  std::vector<float> rows(600 * k_width);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  write_npy(path("wide.npy"), "<f4", fmt::format("(600, {})", k_width), rows);
  const Arguments command = {"train",    "--data", "npy:wide.npy,y.npy", "--model", "linear", "--loss", "ce",
                             "--epochs", "1",      "--threads",          "2",       "--quiet"};
  Place limited = place_;
  limited.environment.emplace_back("OMP_THREAD_LIMIT", "1");
  const Outcome outcome = Process(command + Arguments{"--out", "limited"}, limited).wait();
  ASSERT_EQ(outcome.code, 0) << outcome;
  ASSERT_EQ(run(command + Arguments{"--threads", "1", "--out", "one"}).code, 0);
  EXPECT_EQ(weights("limited"), weights("one"));
}

}  // namespace
}  // namespace ulmus::cli_test
