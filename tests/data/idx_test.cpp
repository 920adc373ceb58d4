#include <gtest/gtest.h>
#include <zlib.h>

#include "data/data_variable.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using test::DataVariable;
using test::expect_error;
using test::pixels_of;

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

std::string images(std::uint32_t count, std::uint32_t height = 2, std::uint32_t width = 3, int first = 0) {
  std::string bytes = big_endian(0x803) + big_endian(count) + big_endian(height) + big_endian(width);
  for (std::uint32_t i = 0; i < count * height * width; ++i) bytes += static_cast<char>(first + static_cast<int>(i));
  return bytes;
}

std::string labels(const std::vector<int>& values) {
  std::string bytes = big_endian(0x801) + big_endian(static_cast<std::uint32_t>(values.size()));
  for (const int value : values) bytes += static_cast<char>(value);
  return bytes;
}

void write_gzip(const fs::path& path, const std::string& bytes) {
  gzFile file = ::gzopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
  ASSERT_EQ(::gzclose(file), Z_OK);
}

/// Four valid files with three training images and one test image, for tests to damage.
class Idx : public ::testing::Test {
 protected:
  Idx() {
    write_file(file("train-images-idx3-ubyte"), images(3));
    write_file(file("train-labels-idx1-ubyte"), labels({9, 0, 4}));
    write_file(file("t10k-images-idx3-ubyte"), images(1, 2, 3, 100));
    write_file(file("t10k-labels-idx1-ubyte"), labels({7}));
  }
  fs::path file(const std::string& name) const { return folder_.path() / name; }
  OpenedData open(std::string_view address = "mnist") const {
    return open_data(address, {.data_root = folder_.path()});
  }
  void expect_data_error(std::initializer_list<std::string_view> parts) const {
    expect_error(ErrorKind::data, parts, [&] { open(); });
  }

  TemporaryFolder folder_;
  DataVariable unset_{nullptr};
};

TEST_F(Idx, ReadsImagesLabelsAndNames) {
  const OpenedData data = open();
  EXPECT_EQ(data.train.name(), "mnist");
  EXPECT_EQ(data.train.shape(), (ImageShape{1, 2, 3}));
  EXPECT_EQ(data.train.labels(), (std::vector<std::int64_t>{9, 0, 4}));
  EXPECT_EQ(data.train.counts(), (std::vector<std::int64_t>{1, 0, 0, 0, 1, 0, 0, 0, 0, 1}));
  EXPECT_EQ(pixels_of(data.train, 1), (std::vector<std::uint8_t>{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(data.train.class_names()[9], "9");
  ASSERT_TRUE(data.test);
  EXPECT_EQ(data.test->labels(), (std::vector<std::int64_t>{7}));
  EXPECT_EQ(pixels_of(*data.test, 0).front(), 100);
  EXPECT_TRUE(data.skipped.empty());
  EXPECT_EQ(open("fashion-mnist").train.class_names()[9], "Ankle boot");
}

TEST_F(Idx, GzipAndPlainAreTheSameData) {
  const std::string sha = open().train.sha256();
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}) {
    write_gzip(file(std::string(name) + ".gz"), read_file(file(name)));
    fs::remove(file(name));
  }
  EXPECT_EQ(open().train.sha256(), sha);
  EXPECT_EQ(pixels_of(open().train, 2).back(), 17);
}

TEST_F(Idx, Sha256ChangesWithAPixelAndWithALabel) {
  const std::string sha = open().train.sha256();
  write_file(file("train-labels-idx1-ubyte"), labels({9, 0, 5}));
  const std::string other_label = open().train.sha256();
  EXPECT_NE(other_label, sha);
  write_file(file("train-images-idx3-ubyte"), images(3, 2, 3, 1));
  EXPECT_NE(open().train.sha256(), other_label);
}

TEST_F(Idx, IsFoundInAFolderOfItsNameAndInUlmusData) {
  fs::create_directory(file("mnist"));
  for (const char* name :
       {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"})
    fs::rename(file(name), file("mnist") / name);
  EXPECT_EQ(open().train.size(), 3);
  {
    const DataVariable variable(folder_.path().c_str());
    EXPECT_EQ(open_data("mnist").train.size(), 3);
  }
  const DataVariable variable(file("mnist").c_str());
  EXPECT_EQ(open_data("mnist").train.size(), 3);
}

TEST_F(Idx, DataRootComesBeforeUlmusData) {
  const TemporaryFolder other;
  for (const auto& entry : fs::directory_iterator(folder_.path())) fs::copy(entry.path(), other.path());
  write_file(other.path() / "train-images-idx3-ubyte", images(2));
  write_file(other.path() / "train-labels-idx1-ubyte", labels({1, 2}));
  const DataVariable variable(other.path().c_str());
  EXPECT_EQ(open_data("mnist").train.size(), 2);
  EXPECT_EQ(open().train.size(), 3);
}

TEST(IdxSearch, SaysWhereItLookedAndWhatToType) {
  const TemporaryFolder root;
  const TemporaryFolder variable_root;
  const DataVariable variable(variable_root.path().c_str());
  if (!fs::exists("/usr/share/datasets/mnist"))
    expect_error(ErrorKind::data,
                 {"mnist is not found", (root.path() / "mnist").string(), variable_root.path().string(),
                  "/usr/share/datasets/mnist", "four IDX files", "data_root"},
                 [&] { open_data("mnist", {.data_root = root.path()}); });
  if (!fs::exists("/usr/share/datasets/fashion-mnist"))
    expect_error(ErrorKind::data, {"apt-get install dataset-fashion-mnist"}, [&] { open_data("fashion-mnist"); });
  expect_error(ErrorKind::data, {"data_root", "/nonexistent"},
               [] { open_data("fashion-mnist", {.data_root = "/nonexistent"}); });
}

TEST(IdxSearch, OpensDebiansFashionMnist) {
  if (!fs::exists("/usr/share/datasets/fashion-mnist")) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const DataVariable variable(nullptr);
  const OpenedData data = open_data("fashion-mnist");
  EXPECT_EQ(data.train.counts(), std::vector<std::int64_t>(10, 6000));
  EXPECT_EQ(data.test->counts(), std::vector<std::int64_t>(10, 1000));
  EXPECT_EQ(data.train.shape(), (ImageShape{1, 28, 28}));
}

TEST_F(Idx, NamesAMissingFile) {
  fs::remove(file("t10k-labels-idx1-ubyte"));
  expect_data_error({file("t10k-labels-idx1-ubyte").string(), "missing", "four IDX files"});
}

TEST_F(Idx, NamesATruncatedFileWithTheBytes) {
  write_file(file("train-images-idx3-ubyte"), images(3).substr(0, 16 + 10));
  expect_data_error({file("train-images-idx3-ubyte").string(), "truncated", "10 bytes", "expected 18"});
  write_file(file("train-images-idx3-ubyte"), images(3).substr(0, 7));
  expect_data_error({file("train-images-idx3-ubyte").string(), "truncated", "7 bytes", "header of 16"});
  write_file(file("train-images-idx3-ubyte"), "");
  expect_data_error({file("train-images-idx3-ubyte").string(), "truncated", "0 bytes"});
}

TEST_F(Idx, AHeaderThatPromisesTooMuchIsATruncatedFile) {
  write_file(file("train-images-idx3-ubyte"),
             big_endian(0x803) + big_endian(0xffffffff) + big_endian(16384) + big_endian(16384) + "few");
  expect_data_error({"truncated", "3 bytes", "expected 1152921504338411520"});
}

TEST_F(Idx, NamesAFileOfAnotherFormat) {
  write_file(file("train-images-idx3-ubyte"), labels({9, 0, 4}));
  expect_data_error({file("train-images-idx3-ubyte").string(), "not an IDX file of images", "00000801", "00000803"});
  write_file(file("train-images-idx3-ubyte"), "<!DOCTYPE html>");
  expect_data_error({file("train-images-idx3-ubyte").string(), "not an IDX file of images", "3c21444f"});
}

TEST_F(Idx, NamesTrailingBytes) {
  write_file(file("train-labels-idx1-ubyte"), labels({9, 0, 4}) + "x");
  expect_data_error({file("train-labels-idx1-ubyte").string(), "more than the 3 bytes"});
}

TEST_F(Idx, NamesBothFilesWhenImagesAndLabelsDiffer) {
  write_file(file("train-labels-idx1-ubyte"), labels({9, 0}));
  expect_data_error(
      {file("train-images-idx3-ubyte").string(), "3 images", file("train-labels-idx1-ubyte").string(), "2 labels"});
}

TEST_F(Idx, NamesTheImageWithALabelOutOfRange) {
  write_file(file("train-labels-idx1-ubyte"), labels({9, 10, 4}));
  expect_data_error({file("train-labels-idx1-ubyte").string(), "image 1", "label 10", "0 to 9"});
}

TEST_F(Idx, RefusesAFileWithoutImages) {
  write_file(file("train-images-idx3-ubyte"), images(0));
  expect_data_error({file("train-images-idx3-ubyte").string(), "holds no images"});
}

TEST_F(Idx, RefusesImagesWithoutPixels) {
  write_file(file("train-images-idx3-ubyte"), images(3, 0, 3));
  expect_data_error({file("train-images-idx3-ubyte").string(), "side of 0 pixels"});
}

TEST_F(Idx, RefusesTrainAndTestOfDifferentSize) {
  write_file(file("t10k-images-idx3-ubyte"), images(1, 3, 3));
  expect_data_error({folder_.path().string(), "2 x 3", "3 x 3"});
}

TEST_F(Idx, NamesDamagedGzip) {
  const fs::path path = file("train-images-idx3-ubyte.gz");
  fs::remove(file("train-images-idx3-ubyte"));
  write_gzip(path, images(3));
  const std::string sound = read_file(path);
  EXPECT_EQ(open().train.size(), 3);
  write_file(path, sound.substr(0, sound.size() - 12));
  expect_data_error({path.string(), "damaged gzip"});
  std::string wrong_checksum = sound;
  wrong_checksum[sound.size() - 8] = static_cast<char>(wrong_checksum[sound.size() - 8] ^ 1);
  write_file(path, wrong_checksum);
  expect_data_error({path.string(), "damaged gzip"});
}

TEST_F(Idx, RefusesOptionsThatCannotApply) {
  expect_error(ErrorKind::usage, {"image_size", "mnist"},
               [&] { open_data("mnist", {.data_root = folder_.path(), .image_size = 32}); });
  expect_error(ErrorKind::usage, {"skip_bad", "mnist"},
               [&] { open_data("mnist", {.data_root = folder_.path(), .skip_bad = true}); });
}

}  // namespace
}  // namespace ulmus
