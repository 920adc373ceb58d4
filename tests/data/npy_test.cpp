#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "data/npy_shards.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/loss/float16.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using test::expect_error;
using Labels = std::vector<std::int64_t>;

template <class Value>
std::string bytes_of(const std::vector<Value>& values) {
  std::string bytes(values.size() * sizeof(Value), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A .npy file as NumPy writes it: the header padded with spaces to a multiple of 64 bytes.
std::string npy(const std::string& descr, const std::string& shape, const std::string& values, int version = 1,
                const std::string& fortran = "False") {
  std::string header = "{'descr': " + descr + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  const std::size_t start = version == 1 ? 10 : 12;
  header += std::string(63 - (start + header.size()) % 64, ' ') + "\n";
  std::string bytes = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  for (std::size_t i = 0; i < start - 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + values;
}

std::string floats(const std::vector<float>& values, const std::string& shape) {
  return npy("'<f4'", shape, bytes_of(values));
}

class Npy : public ::testing::Test {
 protected:
  Npy() {
    put("x.npy", floats({1, 2, 3, 4, 5, 6}, "(3, 2)"));
    put("y.npy", npy("'<i8'", "(3,)", bytes_of<std::int64_t>({1, 0, 1})));
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void put(const std::string& name, const std::string& bytes) const { write_file(path(name), bytes); }
  std::string address() const { return "npy:" + path("x.npy").string() + "," + path("y.npy").string(); }
  OpenedData open(const std::string& keys = "") const { return open_data(address() + keys); }
  std::vector<float> row(const Dataset& data, std::int64_t index) const {
    std::vector<float> row(static_cast<std::size_t>(data.shape().channels));
    data.read_features(index, row);
    return row;
  }
  void expect_data_error(std::initializer_list<std::string_view> parts, const std::string& keys = "") const {
    expect_error(ErrorKind::data, parts, [&] { open(keys); });
  }

  TemporaryFolder folder_;
};

TEST_F(Npy, FeaturesAloneCanBeOpened) {
  const Dataset rows = open_unlabelled(path("x.npy"), address(), nullptr);
  EXPECT_EQ(rows.size(), 3);
  EXPECT_EQ(rows.shape(), (ImageShape{2, 1, 1}));
  std::vector<float> row(2);
  rows.read_features(2, row);
  EXPECT_EQ(row, (std::vector<float>{5, 6}));
  expect_error(ErrorKind::data, {"y.npy"}, [&] { open_unlabelled(path("y.npy"), address(), nullptr); });
}

TEST_F(Npy, ReadsFeaturesAndLabels) {
  const OpenedData data = open();
  EXPECT_EQ(data.train.name(), address());
  EXPECT_TRUE(data.train.is_features());
  EXPECT_EQ(data.train.shape(), (ImageShape{2, 1, 1}));
  EXPECT_EQ(data.train.labels(), (Labels{1, 0, 1}));
  EXPECT_EQ(data.train.class_names(), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(row(data.train, 2), (std::vector<float>{5, 6}));
  EXPECT_FALSE(data.test);
  EXPECT_EQ(data.train_table, nullptr);
}

TEST_F(Npy, ReadsEveryVersionAndFloatType) {
  put("x.npy", npy("'<f8'", "(3, 1)", bytes_of<double>({0.1, -2, 3}), 2));
  EXPECT_EQ(row(open().train, 0), std::vector<float>{0.1f});
  put("x.npy", npy("\"<f2\"", "(3,1)", bytes_of<Half>({Half(0.5f), Half(-2.0f), Half(6e-8f)}), 3));
  EXPECT_EQ(row(open().train, 1), std::vector<float>{-2});
  EXPECT_EQ(row(open().train, 2), std::vector<float>{static_cast<float>(Half(6e-8f))});
}

TEST_F(Npy, ReadsEveryIntegerType) {
  const auto expect_labels = [&](const std::string& descr, const std::string& values, const std::string& shape) {
    put("y.npy", npy(descr, shape, values));
    EXPECT_EQ(open().train.labels(), (Labels{1, 0, 1})) << descr;
  };
  expect_labels("'|i1'", bytes_of<std::int8_t>({1, 0, 1}), "(3,)");
  expect_labels("'|u1'", bytes_of<std::uint8_t>({1, 0, 1}), "(3, 1)");
  expect_labels("'<i2'", bytes_of<std::int16_t>({1, 0, 1}), "(3,)");
  expect_labels("'<u2'", bytes_of<std::uint16_t>({1, 0, 1}), "(3,)");
  expect_labels("'<i4'", bytes_of<std::int32_t>({1, 0, 1}), "(3L,)");
  expect_labels("'<u4'", bytes_of<std::uint32_t>({1, 0, 1}), "(3,)");
}

TEST_F(Npy, ATestPartHasTheSameFeaturesAndClasses) {
  put("tx.npy", floats({7, 8}, "(1, 2)"));
  put("ty.npy", npy("'|u1'", "(1,)", "\1"));
  const std::string keys = "?test=" + path("tx.npy").string() + "," + path("ty.npy").string();
  const OpenedData data = open(keys);
  ASSERT_TRUE(data.test);
  EXPECT_EQ(data.test->labels(), Labels{1});
  EXPECT_EQ(data.test->class_names(), data.train.class_names());
  EXPECT_EQ(row(*data.test, 0), (std::vector<float>{7, 8}));
  put("ty.npy", npy("'|u1'", "(1,)", "\2"));
  expect_data_error({path("ty.npy").string(), "sample 0", "label '2'", "training part lacks", "'0', '1'"}, keys);
  put("ty.npy", npy("'|u1'", "(1,)", "\1"));
  put("tx.npy", floats({7, 8, 9}, "(1, 3)"));
  expect_data_error({path("tx.npy").string(), "3 features", path("x.npy").string(), "has 2"}, keys);
}

TEST_F(Npy, ClassNamesComeFromAFile) {
  put("names.txt", "healthy\nill\n");
  EXPECT_EQ(open("?classes=" + path("names.txt").string()).train.class_names()[1], "ill");
}

TEST_F(Npy, NeedsTwoFiles) {
  for (const std::string files : {"x.npy", "x.npy,", ",y.npy", "x.npy,y.npy,z.npy"})
    expect_error(ErrorKind::usage, {"npy:" + files, "two files"}, [&] { open_data("npy:" + files); });
  expect_error(ErrorKind::usage, {"two files"}, [&] { open("?test=x.npy"); });
  expect_error(ErrorKind::data, {"/nonexistent.npy", "cannot read"}, [] { open_data("npy:/nonexistent.npy,y.npy"); });
  expect_error(ErrorKind::data, {folder_.path().string(), "cannot read"},
               [&] { open_data("npy:" + folder_.path().string() + ",y.npy"); });
}

TEST_F(Npy, RefusesWhatIsNoNpyFile) {
  put("x.npy", "a,b,label\n1,2,3\n");
  expect_data_error({path("x.npy").string(), "not a .npy file", "'a,b,la'", "np.save"});
  put("x.npy", "");
  expect_data_error({"not a .npy file", "''"});
  std::string other = floats({1, 2, 3, 4, 5, 6}, "(3, 2)");
  other[6] = 4;
  put("x.npy", other);
  expect_data_error({"version 4", "1 to 3"});
}

TEST_F(Npy, RefusesWhatItDoesNotReadWithWhatToDo) {
  const std::string values = bytes_of<float>({1, 2, 3, 4, 5, 6});
  put("x.npy", npy("'|O'", "(3, 2)", "pickle"));
  expect_data_error({"pickled Python objects", "could run code", "dtype=np.float32"});
  put("x.npy", npy("'<c8'", "(3, 1)", values));
  expect_data_error({"dtype '<c8'"});
  put("x.npy", npy("'<M8[ns]'", "(3, 1)", values));
  expect_data_error({"dtype '<M8[ns]'"});
  put("x.npy", npy("[('a', '<f4'), ('b', '<f4')]", "(3,)", values));
  expect_data_error({"array of records"});
  put("x.npy", npy("'<U2'", "(3, 1)", values));
  expect_data_error({"holds texts", "expected numbers"});
  for (const auto& [magic, what] : {std::pair("PK\3\4"s, "zip archive"), std::pair("\x1f\x8b"s, "gzip"),
                                    std::pair("\x89HDF"s, "HDF5"), std::pair("\x80\4"s, "a pickle")}) {
    put("x.npy", magic + "rest");
    expect_data_error({path("x.npy").string(), what});
  }
}

TEST_F(Npy, ReadsFeaturesOfEveryOrderAndNumber) {
  const auto expect_rows = [&](const std::string& file) {
    put("x.npy", file);
    const Dataset data = open().train;
    EXPECT_EQ(row(data, 0), (std::vector<float>{1, 2}));
    EXPECT_EQ(row(data, 2), (std::vector<float>{5, 6}));
  };
  expect_rows(npy("'<f4'", "(3, 2)", bytes_of<float>({1, 3, 5, 2, 4, 6}), 1, "True"));
  std::string big = bytes_of<float>({6, 5, 4, 3, 2, 1});
  std::ranges::reverse(big);
  expect_rows(npy("'>f4'", "(3, 2)", big));
  expect_rows(npy("'<i4'", "(3, 2)", bytes_of<std::int32_t>({1, 2, 3, 4, 5, 6})));
  expect_rows(npy("'|u1'", "(3, 2)", "\1\2\3\4\5\6"));
}

TEST_F(Npy, ReadsLabelsOfEveryKind) {
  const auto expect_labels = [&](const std::string& file, const std::vector<std::string>& names) {
    put("y.npy", file);
    const Dataset data = open().train;
    EXPECT_EQ(data.labels(), (Labels{1, 0, 1}));
    EXPECT_EQ(data.class_names(), names);
  };
  expect_labels(npy("'<f4'", "(3,)", bytes_of<float>({1, 0, 1})), {"0", "1"});
  expect_labels(npy("'<f8'", "(3,)", bytes_of<double>({1e6, 0.5, 1e6})), {"0.5", "1000000"});
  expect_labels(npy("'<u8'", "(3,)", bytes_of<std::uint64_t>({~0ull, 0, ~0ull})), {"0", "18446744073709551615"});
  expect_labels(npy("'|b1'", "(3,)", "\1\0\1"s), {"0", "1"});
  expect_labels(npy("'>i2'", "(3,)", "\0\2\0\1\0\2"s), {"1", "2"});
  expect_labels(npy("'|i1'", "(3,)", "\1\xff\1"s), {"-1", "1"});
  expect_labels(npy("'|S4'", "(3,)", "sea\0cat\0sea\0"s), {"cat", "sea"});
  expect_labels(npy("'<U2'", "(3,)", bytes_of<std::uint32_t>({0xe9, 0, 'a', 'b', 0xe9, 0})), {"ab", "\xc3\xa9"});
  expect_labels(npy("'|u1'", "(3, 2)", "\0\1\1\0\0\1"s), {"0", "1"});
  expect_labels(npy("'<f4'", "(3, 2)", bytes_of<float>({0, 1, 0, 1, 0, 1}), 1, "True"), {"0", "1"});
}

TEST_F(Npy, RefusesLabelsThatAreNone) {
  put("y.npy", npy("'<f4'", "(3,)", bytes_of<float>({1, std::nanf(""), 0})));
  expect_data_error({path("y.npy").string(), "sample 1", "'nan'", "missing value"});
  put("y.npy", npy("'<f4'", "(3, 2)", bytes_of<float>({0.25f, 0.75f, 1, 0, 0, 1})));
  expect_data_error({"row 0", "the value 0.25", "one-hot", "argmax"});
  put("y.npy", npy("'|u1'", "(3, 2)", "\0\1\1\1\0\1"s));
  expect_data_error({"row 1", "several ones"});
  put("y.npy", npy("'|u1'", "(3, 2)", "\0\1\0\0\0\1"s));
  expect_data_error({"row 1", "no 1"});
  // The bits of 0x4040000 that UTF-8 can store are those of U+40000.
  for (const std::uint32_t point : {0xffffffffU, 0x4040000U, 0x110000U, 0xd800U}) {
    put("y.npy", npy("'<U1'", "(3,)", bytes_of<std::uint32_t>({'a', point, 'b'})));
    expect_data_error({"sample 1", "not UTF-8"});
  }
}

TEST_F(Npy, AFileThatBecomesShorterIsAnError) {
  const Dataset data = open().train;
  fs::resize_file(path("x.npy"), fs::file_size(path("x.npy")) - 4);
  EXPECT_EQ(row(data, 0), (std::vector<float>{1, 2}));
  expect_error(ErrorKind::data, {path("x.npy").string(), "has become shorter while it was in use"},
               [&] { row(data, 2); });
}

TEST_F(Npy, RowsInAFileAndInMemoryMakeTheSameBatches) {
  constexpr std::int64_t k_rows = 1000, k_width = 3;
  std::vector<float> by_rows;
  std::vector<std::int64_t> labels, indices;
  for (std::int64_t i = 0; i < k_rows * k_width; ++i) by_rows.push_back(std::sin(static_cast<float>(i)));
  for (std::int64_t i = 0; i < k_rows; ++i) labels.push_back(i % 7);
  for (std::int64_t i = 0; i < k_rows; i += 2) indices.push_back(i);
  std::vector<float> by_columns;
  for (std::int64_t c = 0; c < k_width; ++c)
    for (std::int64_t r = 0; r < k_rows; ++r) by_columns.push_back(by_rows[static_cast<std::size_t>(r * k_width + c)]);
  put("y.npy", npy("'<i8'", "(1000,)", bytes_of(labels)));
  put("x.npy", floats(by_rows, "(1000, 3)"));
  const Dataset in_file = open().train;
  EXPECT_EQ(in_file.bytes_on_disk(), k_rows * k_width * 4);
  put("f.npy", npy("'<f4'", "(1000, 3)", bytes_of(by_columns), 1, "True"));
  const Dataset in_memory = open_data("npy:" + path("f.npy").string() + "," + path("y.npy").string()).train;
  EXPECT_EQ(in_memory.bytes_on_disk(), 0);

  const Normalisation statistics = channel_statistics(in_memory, indices);
  EXPECT_EQ(channel_statistics(in_file, indices).mean, statistics.mean);
  EXPECT_EQ(channel_statistics(in_file, indices).stddev, statistics.stddev);
  for (const BlockShuffle blocks : {BlockShuffle{}, BlockShuffle{.rows = 16, .blocks = 5}}) {
    const LoaderOptions options{
        .batch_size = 32, .shuffle = true, .normalisation = statistics, .seed = 3, .threads = 2, .blocks = blocks};
    Loader first(in_file, indices, options), second(in_memory, indices, options);
    first.start(1);
    second.start(1);
    Batch a, b;
    while (first.next(a)) {
      ASSERT_TRUE(second.next(b));
      EXPECT_EQ(a.inputs, b.inputs);
      EXPECT_EQ(a.labels, b.labels);
    }
    EXPECT_FALSE(second.next(b));
  }
}

/// Bytes of memory that this process has had at most since the last call.
std::int64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  std::int64_t kilobytes = 0;
  for (std::string word; status >> word;)
    if (word == "VmHWM:") status >> kilobytes;
  std::ofstream("/proc/self/clear_refs") << 5;  // starts it anew
  return kilobytes * 1024;
}

TEST_F(Npy, MemoryDoesNotGrowWithTheFeatures) {
  constexpr std::int64_t k_rows = 1 << 15, k_width = 4096;  // 256 MiB of halves
  std::vector<std::uint8_t> labels;
  for (std::int64_t i = 0; i < k_rows; ++i) labels.push_back(i % 3 == 0);
  put("y.npy", npy("'|u1'", "(32768,)", bytes_of(labels)));
  put("x.npy", npy("'<f2'", "(32768, 4096)", ""));
  fs::resize_file(path("x.npy"), fs::file_size(path("x.npy")) + k_rows * k_width * 2);  // zeros, without a disk
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < k_rows; i += 8) indices.push_back(i);
  peak_memory();
  const std::int64_t before = peak_memory();
  const Dataset data = open().train;
  EXPECT_EQ(data.bytes_on_disk(), k_rows * k_width * 2);
  const Normalisation statistics = channel_statistics(data, indices);
  Loader loader(data, indices,
                {.batch_size = 32, .shuffle = true, .normalisation = statistics, .blocks = {.rows = 16, .blocks = 64}});
  loader.start(0);
  std::int64_t samples = 0;
  for (Batch batch; loader.next(batch);) samples += batch.size;
  EXPECT_EQ(samples, std::ssize(indices));
  EXPECT_LT(peak_memory() - before, 32 << 20);
}

/// x-1.npy, x-2.npy and x-10.npy with one, two and three rows of 2 features and their labels; the whole in x.npy,
/// y.npy.
class NpyShards : public Npy {
 protected:
  NpyShards() {
    put("x-10.npy", floats({7, 8, 9, 10, 11, 12}, "(3, 2)"));
    put("x-2.npy", npy("'<f8'", "(2, 2)", bytes_of<double>({3, 4, 5, 6})));
    put("x-1.npy", npy("'<f2'", "(1, 2)", bytes_of<Half>({Half(1.0f), Half(2.0f)})));
    put("y-10.npy", npy("'|u1'", "(3,)", "\0\2\0"s));
    put("y-2.npy", npy("'<i8'", "(2,)", bytes_of<std::int64_t>({1, 0})));
    put("y-1.npy", npy("'<i8'", "(1,)", bytes_of<std::int64_t>({2})));
    put("all.npy", npy("'|u1'", "(6,)", "\2\1\0\0\2\0"s));
  }
  std::string files(const std::string& features, const std::string& labels) const {
    return "npy:" + path(features).string() + "," + path(labels).string();
  }
  void expect_refused(const std::string& address, std::initializer_list<std::string_view> parts) const {
    expect_error(ErrorKind::data, parts, [&] { open_data(address); });
  }
};

TEST_F(NpyShards, AreOneSetInTheOrderOfTheirNumbers) {
  for (const char* labels : {"y-*.npy", "all.npy"}) {
    const OpenedData data = open_data(files("x-*.npy", labels));
    EXPECT_EQ(data.train.labels(), (Labels{2, 1, 0, 0, 2, 0}));
    EXPECT_EQ(data.train.bytes_on_disk(), 1 * 2 * 2 + 2 * 2 * 8 + 3 * 2 * 4);
    for (std::int64_t i = 0; i < 6; ++i)
      EXPECT_EQ(row(data.train, i),
                (std::vector<float>{2.0f * static_cast<float>(i) + 1, 2.0f * static_cast<float>(i) + 2}));
    data.train.will_read(0, 6);
  }
  const OpenedData tested =
      open_data(files("x-*.npy", "all.npy") + "?test=" + path("x-2*.npy").string() + "," + path("y-2*.npy").string());
  ASSERT_TRUE(tested.test);
  EXPECT_EQ(row(*tested.test, 1), (std::vector<float>{5, 6}));
}

TEST_F(NpyShards, ThatDisagreeAreNamedInOneLine) {
  put("x-2.npy", floats({1, 2, 3, 4, 5, 6}, "(2, 3)"));
  expect_refused(files("x-*.npy", "y-*.npy"),
                 {path("x-2.npy").string() + "' has 3 features", path("x-1.npy").string() + "' has 2"});
  put("x-2.npy", floats({3, 4}, "(1, 2)"));
  expect_refused(files("x-*.npy", "y-*.npy"), {path("x-2.npy").string() + "' holds 1 rows", "y-2.npy' holds 2 labels"});
  expect_refused(files("x-*.npy", "all.npy"), {"the 3 files of features", "x-1.npy", "hold 5 rows", "6 labels"});
  fs::rename(path("y-10.npy"), path("y-11.npy"));
  expect_refused(files("x-*.npy", "y-*.npy"), {"x-10.npy' would have the labels of", "y-11.npy", "the same text"});
  fs::remove(path("y-11.npy"));
  expect_refused(files("x-*.npy", "y-*.npy"), {"3 files of features", "x-1.npy", "2 of labels", "y-1.npy"});
  expect_refused(files("z-*.npy", "y-*.npy"), {"no file matches", "z-*.npy"});
  expect_refused("npy:" + path("no/x-*.npy").string() + ",y.npy", {"cannot look for", "no/x-*.npy"});
}

TEST_F(NpyShards, NameTheFileOfAWrongLabel) {
  put("y-2.npy", npy("'<i8'", "(2,)", bytes_of<std::int64_t>({1, -1})));
  expect_refused(files("x-*.npy", "y-*.npy"), {path("y-2.npy").string() + "' sample 1 (from 0)", "label -1"});
}

TEST_F(NpyShards, ANameWithAStarThatExistsIsAFile) {
  fs::copy_file(path("x-2.npy"), path("x-*.npy"));
  EXPECT_EQ(detail::shard_files(path("x-*.npy").string()).files, std::vector{path("x-*.npy")});
  EXPECT_EQ(open_data(files("x-*.npy", "y-2.npy")).train.size(), 2);
}

TEST(NumericLess, ComparesNumbersInNames) {
  const std::vector<std::string> sorted = {
      "", "part-01", "part-1", "part-2", "part-2-b", "part-010", "part-0011", "part-123456789012345678901", "q"};
  for (std::size_t i = 0; i < sorted.size(); ++i)
    for (std::size_t j = 0; j < sorted.size(); ++j) {
      EXPECT_EQ(detail::numeric_less(sorted[i], sorted[j]), i < j) << sorted[i] << ", " << sorted[j];
    }
}

TEST_F(Npy, APipeIsNoFile) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  expect_error(ErrorKind::data, {path("pipe").string(), "it is a pipe"},
               [&] { open_data("npy:" + path("pipe").string() + "," + path("y.npy").string()); });
}

TEST_F(Npy, RefusesAShapeThatIsNotOfSamples) {
  put("x.npy", floats({1, 2, 3}, "(3,)"));
  expect_data_error({path("x.npy").string(), "shape [3]", "[N, D]"});
  put("x.npy", floats({1, 2, 3, 4, 5, 6}, "(3, 2, 1)"));
  expect_data_error({"shape [3, 2, 1]"});
  put("x.npy", floats({}, "(3, 0)"));
  expect_data_error({"shape [3, 0]", "at least one"});
  put("x.npy", floats({1, 2, 3, 4}, "(2, 2)"));
  expect_data_error({path("x.npy").string(), "2 rows", path("y.npy").string(), "3 labels"});
  put("y.npy", npy("'|u1'", "(2, 2, 1)", "\0\1\0\1"s));
  expect_data_error({path("y.npy").string(), "shape [2, 2, 1]", "[N] or [N, 1]"});
  put("y.npy", npy("'|u1'", "()", "\0"s));
  expect_data_error({"shape []"});
}

TEST_F(Npy, NamesATruncatedFileWithTheBytes) {
  const std::string sound = floats({1, 2, 3, 4, 5, 6}, "(3, 2)");
  put("x.npy", sound.substr(0, sound.size() - 5));
  expect_data_error({path("x.npy").string(), "truncated", "19 bytes", "expected 24", "[3, 2]"});
  put("x.npy", sound.substr(0, 50));
  expect_data_error({"truncated inside its header"});
  put("x.npy", sound.substr(0, 8));
  expect_data_error({"truncated inside its header"});
  put("x.npy", sound + "x");
  expect_data_error({"25 bytes", "more than the 24"});
  put("x.npy", floats({1}, "(4611686018427387904, 4611686018427387904)"));
  expect_data_error({"truncated", "more than a file can have"});
}

TEST_F(Npy, NamesADamagedHeader) {
  for (const std::string shape : {"(3, -2)", "(3, 2", "3, 2", "(3 2)", "(a, b)", "(99999999999999999999, 2)"}) {
    put("x.npy", floats({1, 2, 3, 4, 5, 6}, shape));
    expect_data_error({path("x.npy").string(), "damaged header"});
  }
  put("x.npy", npy("'<f4'", "(3, 2)", bytes_of<float>({1, 2, 3, 4, 5, 6}), 1, "Maybe"));
  expect_data_error({"damaged header"});
  put("x.npy", npy("'<f4', 'more': 1", "(3, 2)", bytes_of<float>({1, 2, 3, 4, 5, 6})));
  expect_data_error({"damaged header"});
}

TEST_F(Npy, NamesTheFirstFeatureThatIsNotFinite) {
  put("x.npy", floats({1, 2, 3, std::nanf(""), 5, 6}, "(3, 2)"));
  expect_data_error({path("x.npy").string(), "nan in row 1, column 1", "must be finite"});
  put("x.npy", floats({1, 2, 3, 4, -std::numeric_limits<float>::infinity(), 6}, "(3, 2)"));
  expect_data_error({"-inf in row 2, column 0"});
  put("x.npy", npy("'<f8'", "(3, 1)", bytes_of<double>({1, 1e300, 3})));
  expect_data_error({"1e+300 in row 1, column 0", "scale the features"});
}

TEST_F(Npy, LabelsAreClassesThatMayHaveHoles) {
  put("y.npy", npy("'|i1'", "(3,)", "\0\xff\1"s));
  expect_data_error({path("y.npy").string(), "sample 1", "label -1"});
  put("y.npy", npy("'|i1'", "(3,)", "\0\2\0"s));
  EXPECT_EQ(open().train.class_names(), (std::vector<std::string>{"0", "2"}));
  put("y.npy", npy("'|i1'", "(3,)", "\0\0\0"s));
  expect_data_error({"one class, '0'"});
}

TEST_F(Npy, RefusesOptionsThatCannotApply) {
  expect_error(ErrorKind::usage, {"image_size", "npy:FEATURES,LABELS"},
               [&] { open_data(address(), {.image_size = 4}); });
}

TEST_F(Npy, Sha256ChangesWithAFeatureAndWithALabel) {
  const std::string sha = open().train.sha256();
  put("y.npy", npy("'<i8'", "(3,)", bytes_of<std::int64_t>({0, 0, 1})));
  const std::string other_label = open().train.sha256();
  EXPECT_NE(other_label, sha);
  put("x.npy", floats({1, 2, 3, 4, 5, 7}, "(3, 2)"));
  EXPECT_NE(open().train.sha256(), other_label);
}

}  // namespace
}  // namespace ulmus
