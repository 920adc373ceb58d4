#include <gtest/gtest.h>

#include "data/data_variable.hpp"
#include "data/image_files.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using test::colour;
using test::DataVariable;
using test::encode_image;
using test::expect_error;
using test::pixels_of;
using Labels = std::vector<std::int64_t>;

/// A record whose red plane is `value`, green `value` + 1, blue `value` + 2.
std::string record(const std::string& labels, int value) {
  std::string bytes = labels;
  for (int plane = 0; plane < 3; ++plane) bytes += std::string(1024, static_cast<char>(value + plane));
  return bytes;
}

std::string label(int value) { return std::string(1, static_cast<char>(value)); }

class Cifar : public ::testing::Test {
 protected:
  Cifar() {
    for (int i = 0; i < 5; ++i) put("cifar10/data_batch_" + std::to_string(i + 1) + ".bin", record(label(2 * i), i));
    put("cifar10/test_batch.bin", record(label(9), 90) + record(label(0), 91));
    put("cifar100/train.bin", record(label(3) + label(99), 50) + record(label(0) + label(4), 60));
    put("cifar100/test.bin", record(label(1) + label(7), 70));
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void put(const std::string& name, const std::string& bytes) const {
    fs::create_directories(path(name).parent_path());
    write_file(path(name), bytes);
  }
  OpenedData open(std::string_view name = "cifar10") const { return open_data(name, {.data_root = folder_.path()}); }
  void expect_data_error(std::initializer_list<std::string_view> parts, std::string_view name = "cifar10") const {
    expect_error(ErrorKind::data, parts, [&] { open(name); });
  }

  TemporaryFolder folder_;
  DataVariable unset_{nullptr};
};

TEST_F(Cifar, ReadsTheBatchesInOrder) {
  const OpenedData data = open();
  EXPECT_EQ(data.train.name(), "cifar10");
  EXPECT_EQ(data.train.labels(), (Labels{0, 2, 4, 6, 8}));
  EXPECT_EQ(data.train.shape(), (ImageShape{3, 32, 32}));
  EXPECT_EQ(data.train.class_names()[0], "airplane");
  EXPECT_EQ(data.train.class_names()[9], "truck");
  const auto pixels = pixels_of(data.train, 3);
  EXPECT_EQ(pixels[0], 3);
  EXPECT_EQ(pixels[1023], 3);
  EXPECT_EQ(pixels[1024], 4);
  EXPECT_EQ(pixels[3071], 5);
  ASSERT_TRUE(data.test);
  EXPECT_EQ(data.test->labels(), (Labels{9, 0}));
  EXPECT_EQ(pixels_of(*data.test, 1)[0], 91);
}

TEST_F(Cifar, Of100ClassesTakesTheFineLabel) {
  const OpenedData data = open("cifar100");
  EXPECT_EQ(data.train.labels(), (Labels{99, 4}));
  EXPECT_EQ(data.train.classes(), 100);
  EXPECT_EQ(data.train.class_names()[99], "99");
  EXPECT_EQ(pixels_of(data.train, 1)[0], 60);
  EXPECT_EQ(data.test->labels(), Labels{7});
}

TEST_F(Cifar, ClassNamesComeFromTheFileBesideIt) {
  put("cifar10/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  EXPECT_EQ(open().train.class_names()[9], "j");
  put("cifar10/batches.meta.txt", "a\nb\n");
  expect_data_error({path("cifar10/batches.meta.txt").string(), "2 lines", "10 class names"});
  std::string names;
  for (int i = 0; i < 100; ++i) names += "class " + std::to_string(i) + "\n";
  put("cifar100/fine_label_names.txt", names);
  EXPECT_EQ(open("cifar100").train.class_names()[42], "class 42");
}

TEST_F(Cifar, IsFoundWhereItsArchiveWasUnpacked) {
  fs::rename(path("cifar10"), path("cifar-10-batches-bin"));
  EXPECT_EQ(open().train.size(), 5);
  {
    const DataVariable variable(folder_.path().c_str());
    EXPECT_EQ(open_data("cifar10").train.size(), 5);
  }
  const DataVariable variable(path("cifar-10-batches-bin").c_str());
  EXPECT_EQ(open_data("cifar10").train.size(), 5);
  fs::create_directory(path("cifar10"));
  fs::rename(path("cifar-10-batches-bin"), path("cifar10/cifar-10-batches-bin"));
  EXPECT_EQ(open().train.size(), 5);
}

TEST_F(Cifar, SaysWhereItLookedAndWhatToDo) {
  fs::remove_all(path("cifar10"));
  if (!fs::exists("/usr/share/datasets/cifar10"))
    expect_data_error({"cifar10 is not found", path("cifar10").string(), path("cifar-10-batches-bin").string(),
                       "/usr/share/datasets/cifar10", "data_batch_1.bin", "data_root"});
}

TEST_F(Cifar, NamesAMissingFile) {
  fs::remove(path("cifar10/data_batch_3.bin"));
  expect_data_error({path("cifar10/data_batch_3.bin").string(), "missing"});
}

TEST_F(Cifar, NamesATruncatedFile) {
  put("cifar10/data_batch_2.bin", record(label(1), 1) + "more");
  expect_data_error({path("cifar10/data_batch_2.bin").string(), "3077 bytes", "records of 3073 bytes"});
  put("cifar10/data_batch_2.bin", "");
  expect_data_error({"0 bytes"});
  put("cifar100/test.bin", record(label(1), 1));
  expect_data_error({path("cifar100/test.bin").string(), "records of 3074 bytes"}, "cifar100");
}

TEST_F(Cifar, NamesALabelOutOfRange) {
  put("cifar10/test_batch.bin", record(label(9), 90) + record(label(10), 91));
  expect_data_error({path("cifar10/test_batch.bin").string(), "image 1", "label 10", "0 to 9"});
  put("cifar100/train.bin", record(label(0) + label(100), 50));
  expect_data_error({"image 0", "label 100", "0 to 99"}, "cifar100");
}

TEST_F(Cifar, Sha256ChangesWithAPixel) {
  const std::string sha = open().train.sha256();
  EXPECT_EQ(open().train.sha256(), sha);
  put("cifar10/data_batch_5.bin", record(label(8), 9));
  EXPECT_NE(open().train.sha256(), sha);
}

TEST_F(Cifar, MayBeFoldersOfImages) {
  fs::remove_all(path("cifar10"));
  for (int c = 0; c < 10; ++c)
    for (const std::string part : {"train", "test"})
      put("cifar10/" + part + "/" + std::to_string(c) + "/1.png", encode_image(".png", colour(32, 32, c, 0, 0)));
  const OpenedData data = open();
  EXPECT_EQ(data.train.name(), "cifar10");
  EXPECT_EQ(data.train.size(), 10);
  EXPECT_EQ(data.test->size(), 10);
  EXPECT_EQ(open_data("cifar10", {.data_root = folder_.path(), .image_size = 16}).train.shape().width, 16);
  fs::remove_all(path("cifar10/train/3"));
  fs::remove_all(path("cifar10/test/3"));
  expect_data_error({path("cifar10").string(), "9 classes", "cifar10 has 10", "folder:" + path("cifar10").string()});
}

TEST_F(Cifar, RefusesOptionsThatCannotApply) {
  expect_error(ErrorKind::usage, {"image_size", "binary version of cifar10"},
               [&] { open_data("cifar10", {.data_root = folder_.path(), .image_size = 16}); });
  expect_error(ErrorKind::usage, {"skip_bad", "binary version of cifar10"},
               [&] { open_data("cifar10", {.data_root = folder_.path(), .skip_bad = true}); });
}

}  // namespace
}  // namespace ulmus
