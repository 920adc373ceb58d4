#include <gtest/gtest.h>

#include <thread>

#include "data/formats.hpp"
#include "data/image_files.hpp"
#include "data/packed.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using test::colour;
using test::encode_image;
using test::expect_error;
using test::grey;
using test::pixels_of;
using Labels = std::vector<std::int64_t>;
using Pixels = std::vector<std::uint8_t>;

class List : public ::testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void put(const std::string& name, const std::string& bytes) const {
    fs::create_directories(path(name).parent_path());
    write_file(path(name), bytes);
  }
  void put(const std::string& name, const cv::Mat& image) const {
    put(name, encode_image(fs::path(name).extension().string(), image));
  }
  OpenedData open(const std::string& keys = "", const OpenOptions& options = {}) const {
    return open_data("list:" + path("train.txt").string() + keys, options);
  }
  void expect_data_error(std::initializer_list<std::string_view> parts, const std::string& keys = "",
                         const OpenOptions& options = {}) const {
    expect_error(ErrorKind::data, parts, [&] { open(keys, options); });
  }

  TemporaryFolder folder_;
};

TEST_F(List, ReadsPathsAndLabels) {
  put("a/x.png", grey(1, 2, 10));
  put("b/y z.png", grey(1, 2, 20));
  put("train.txt", "b/y z.png 1\na/x.png 0\na/x.png 0\n");
  const OpenedData data = open();
  EXPECT_EQ(data.train.name(), "list:" + path("train.txt").string());
  EXPECT_EQ(data.train.labels(), (Labels{1, 0, 0}));
  EXPECT_EQ(data.train.class_names(), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(data.train.shape(), (ImageShape{1, 1, 2}));
  EXPECT_EQ(pixels_of(data.train, 0), (Pixels{20, 20}));
  EXPECT_EQ(pixels_of(data.train, 2), (Pixels{10, 10}));
  EXPECT_FALSE(data.test);
}

TEST_F(List, ToleratesWindowsLineEndsBlankLinesAndWhiteSpace) {
  put("a.png", grey(1, 1, 1));
  put("b.png", grey(1, 1, 1));
  put("train.txt", "\xef\xbb\xbf\r\na.png 0  \r\n\n  b.png\t1\t\n \n");
  EXPECT_EQ(open().train.labels(), (Labels{0, 1}));
}

TEST_F(List, RootIsTheListsFolderUnlessGiven) {
  put("elsewhere/a.png", grey(1, 1, 7));
  put("elsewhere/b.png", grey(1, 1, 7));
  put("train.txt", "a.png 0\nb.png 1\n");
  expect_data_error({path("train.txt").string(), "line 1", path("a.png").string(), "first of 2", "?root=DIR"});
  EXPECT_EQ(pixels_of(open("?root=" + path("elsewhere").string()).train, 0), Pixels{7});
  expect_data_error({"root", "/nonexistent", "not a folder"}, "?root=/nonexistent");
}

TEST_F(List, ATestListIsATestPart) {
  put("a.png", grey(1, 1, 1));
  put("b.png", grey(1, 1, 2));
  put("c.png", grey(1, 1, 3));
  put("train.txt", "a.png 0\nb.png 1\nc.png 2\n");
  put("test.txt", "b.png 2\n");
  for (const OpenOptions& options : {OpenOptions{}, OpenOptions{.image_size = 1}}) {
    const OpenedData data = open("?test=" + path("test.txt").string(), options);
    ASSERT_TRUE(data.test);
    EXPECT_EQ(data.test->labels(), Labels{2});
    EXPECT_EQ(data.test->class_names(), data.train.class_names());
    EXPECT_EQ(pixels_of(*data.test, 0)[0], 2);
    EXPECT_NE(data.test->sha256(), data.train.sha256());
  }
  put("test.txt", "b.png 2\n\nc.png 3\n");
  expect_data_error({path("test.txt").string(), "line 3", "label '3'", "training part lacks", "'0', '1', '2'"},
                    "?test=" + path("test.txt").string());
  put("test.txt", "d.png 2\n");
  expect_data_error({path("test.txt").string(), "line 1", "missing"}, "?test=" + path("test.txt").string());
}

TEST_F(List, ClassNamesComeFromAFile) {
  put("a.png", grey(1, 1, 1));
  put("b.png", grey(1, 1, 1));
  put("train.txt", "a.png 0\nb.png 1\n");
  put("names.txt", "cat\r\nsea lion\n\n");
  const std::string keys = "?classes=" + path("names.txt").string();
  EXPECT_EQ(open(keys).train.class_names(), (std::vector<std::string>{"cat", "sea lion"}));
  const auto expect_names_error = [&](const std::string& names, std::initializer_list<std::string_view> parts) {
    put("names.txt", names);
    expect_data_error(parts, keys);
  };
  expect_names_error("cat\n", {path("names.txt").string(), "1 class names", "label 1", "0 to 0"});
  expect_names_error("cat\ndog\nowl\n", {path("train.txt").string(), "no sample with the label 2 ('owl')"});
  expect_names_error("cat\n\ndog\n", {path("names.txt").string(), "line 2", "blank"});
  expect_names_error("cat\ncat\n", {"line 2", "repeats the class name 'cat' of line 1"});
  expect_names_error("cat\ncaf\xe9\n", {"line 2", "not UTF-8"});
}

TEST_F(List, CountsTheMissingFilesAndNamesTheFirst) {
  put("a.png", grey(1, 1, 1));
  put("train.txt", "a.png 0\n\nx.png 1\ny.png 0\nz.png 1\n");
  put("z.png", grey(1, 1, 1));
  expect_data_error({"line 3", path("x.png").string(), "first of 2 such files"});
  put("train.txt", "a.png 0\n. 1\n");
  expect_data_error({"line 2", "no file"});
}

TEST_F(List, ThePathStaysBelowTheRoot) {
  for (const std::string name : {"../x.png", "a/../../x.png", "/etc/passwd", "a/.."}) {
    put("train.txt", "a.png 0\n" + name + " 1\n");
    expect_data_error({"line 2", name, "leaves the root"});
  }
  put("a..b/..c.png", grey(1, 1, 1));
  put("a..b/..d.png", grey(1, 1, 1));
  put("train.txt", "a..b/..c.png 0\na..b/..d.png 1\n");
  EXPECT_EQ(open().train.size(), 2);
}

TEST_F(List, NamesAMalformedLine) {
  for (const std::string line : {"x.png", "7", "x.png,", "cat"}) {
    put("train.txt", "\n" + line + "\n");
    expect_data_error({path("train.txt").string(), "line 2", line, "path of an image"});
  }
  put("train.txt", "x.png 0 7\ny.png 1 7\n");
  expect_data_error({"line 1", "2 fields after the path 'x.png'"});
  put("train.txt", "0 x.png\n1 y.png\n");
  expect_data_error({"line 1", "the label '0' before the path"});
  put("x.png", grey(1, 1, 1));
  put("train.txt", "x.png -1\n");
  expect_data_error({"line 1", "label -1", "0 or more"});
  put("train.txt", "caf\xe9.png 0\n");
  expect_data_error({"line 1", "UTF-8"});
  put("train.txt", "\n\n");
  expect_data_error({path("train.txt").string(), "no line"});
  fs::remove(path("train.txt"));
  expect_data_error({path("train.txt").string(), "cannot read"});
}

class ListForms : public List {
 protected:
  ListForms() {
    for (const char* name : {"my set/a.png", "my set/b.png", "my set/c, d.png"}) put(name, grey(1, 1, 1));
  }
  /// Checks that the three images have the classes 0, 1 and 1 according to this list.
  void expect_read(const std::string& list, const std::vector<std::string>& names = {"0", "1"},
                   const std::string& keys = "") const {
    put("train.txt", list);
    const OpenedData data = open(keys);
    EXPECT_EQ(data.train.labels(), (Labels{0, 1, 1})) << list;
    EXPECT_EQ(data.train.class_names(), names) << list;
    EXPECT_EQ(data.train.file(2), path("my set/c, d.png").string()) << list;
  }
};

TEST_F(ListForms, EverySeparatorIsRead) {
  expect_read("my set/a.png 0\nmy set/b.png 1\nmy set/c, d.png 1\n");
  expect_read("my set/a.png\t0\nmy set/b.png\t1\nmy set/c, d.png\t1\n");
  expect_read("my set/a.png,0\nmy set/b.png, 1\n\"my set/c, d.png\",1\n");
  expect_read("\"my set/a.png\" 0\n./my set/b.png;1\nmy set//c, d.png 1\n");
}

TEST_F(ListForms, ListsAndClassNamesAreDecodedAsTablesAre) {
  const std::string list = "my set/a.png 0\nmy set/b.png 1\nmy set/c, d.png 1\n";
  const auto ended = [](std::string text, const std::string& ending) {
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += ending.size())
      text.replace(at, 1, ending);
    return text;
  };
  const auto utf16 = [](const std::string& text) {
    std::string bytes = "\xff\xfe";
    for (const char c : text) bytes += {c, '\0'};
    return bytes;
  };
  const std::vector<std::string> names{"cat", "dog"};
  const std::string keys = "?classes=" + path("classes.txt").string(), classes = "cat\ndog\n";
  for (const std::string ending : {"\r", "\r\n", "\r\r\n"}) {
    put("classes.txt", ended(classes, ending));
    expect_read(ended(list, ending), names, keys);
  }
  put("classes.txt", utf16(classes));
  expect_read(utf16(list), names, keys);
  put("classes.txt", test::packed(classes));
  expect_read(test::packed(list), names, keys);
  put("classes.txt", "id,name\n0,cat\n1,dog\n");
  expect_read(list, names, keys);
  put("classes.txt", "PAR1\x15\x04");
  put("train.txt", list);
  expect_data_error({"classes.txt", "a Parquet file, expected text"}, keys);
}

TEST_F(ListForms, AHeaderAndCommentsArePassedOver) {
  expect_read("path label\n# made by hand\nmy set/a.png 0\nmy set/b.png 1\nmy set/c, d.png 1\n");
  expect_read("Image,Label\r\nmy set/a.png,0\r\nmy set/b.png,1\r\nmy set/c, d.png,1\r\n");
  put("train.txt", "id,path,label\n0,my set/a.png,0\n1,my set/b.png,1\n");
  expect_data_error({"line 1", "a header of 3 columns", "two columns alone"});
  put("train.txt", "foto klasse\nmy set/a.png 0\nmy set/b.png 1\n");
  expect_data_error({"line 1", "all others are there", "if the line is a header, remove it"});
}

TEST_F(ListForms, LabelsMayHaveHolesBeginAtOneOrBeNames) {
  expect_read("my set/a.png 10\nmy set/b.png 20\nmy set/c, d.png 20\n", {"10", "20"});
  expect_read("my set/a.png 1\nmy set/b.png 2\nmy set/c, d.png 2\n", {"1", "2"});
  expect_read("my set/a.png 0.0\nmy set/b.png 1.0\nmy set/c, d.png 1\n", {"0", "1"});
  expect_read("my set/a.png,cat\nmy set/b.png,sea lion\nmy set/c, d.png,\"sea lion\"\n", {"cat", "sea lion"});
  expect_read("my set/a.png 9\nmy set/b.png 10\nmy set/c, d.png 10\n", {"9", "10"});
}

TEST_F(ListForms, OfMxnetAreRead) {
  expect_read("0\t0.000000\tmy set/a.png\n1\t1.000000\tmy set/b.png\n2\t1.000000\tmy set/c, d.png\n");
}

TEST_F(ListForms, AbsolutePathsAreReadBelowTheRoot) {
  const std::string at = path("my set").string();
  const std::string list = at + "/a.png 0\n" + at + "/b.png 1\n" + at + "/c, d.png 1\n";
  expect_read(list);
  expect_read(list, {"0", "1"}, "?root=/");
  put("train.txt", list);
  fs::create_directories(path("other"));
  expect_data_error({"line 1", "absolute path", "root=/"}, "?root=" + path("other").string());
}

TEST_F(ListForms, BackslashesAreSeparatorsWhereTheFilesAreSo) {
  expect_read("my set\\a.png 0\nmy set\\b.png 1\nmy set\\c, d.png 1\n");
  put("back\\slash.png", grey(1, 1, 1));
  put("train.txt", "back\\slash.png 0\nmy set/b.png 1\n");
  EXPECT_EQ(open().train.size(), 2);
  put("train.txt", "C:\\a.png 0\n");
  expect_data_error({"line 1", "absolute path"});
}

TEST_F(ListForms, AnImageHasOneLabel) {
  put("train.txt", "my set/a.png 0\nmy set/b.png 1\nmy set/./a.png 1\n");
  expect_data_error({"line 3", "'my set/a.png' the label '1'", "line 1 gives it '0'"});
  put("train.txt", "my set/a.png 0\nmy set/b.png 1\nmy set/a.png 0\n");
  EXPECT_EQ(open().train.size(), 3);
}

TEST_F(ListForms, OtherEncodingsAreNamed) {
  put("train.txt", "\xff\xfem\0y\0");
  expect_data_error({path("train.txt").string(), "UTF-16", "UTF-8"});
}

TEST_F(ListForms, AClassFileMayNumberItsClasses) {
  const std::string list = "my set/a.png 1\nmy set/b.png 3\nmy set/c, d.png 3\n";
  put("names.txt",
      "\xef\xbb\xbf"
      "3 sea lion\r\n1 cat\r\n");
  expect_read(list, {"cat", "sea lion"}, "?classes=" + path("names.txt").string());
  expect_read("my set/a.png,cat\nmy set/b.png,sea lion\nmy set/c, d.png,sea lion\n", {"cat", "sea lion"},
              "?classes=" + path("names.txt").string());
}

TEST_F(ListForms, MissingMarksAreNoClasses) {
  put("train.txt", "my set/a.png cat\nmy set/b.png None\nmy set/c, d.png None\n");
  expect_data_error({"line 2", "'None'", "first of 2", "literal=None"});
  EXPECT_EQ(open("?literal=None").train.class_names(), (std::vector<std::string>{"None", "cat"}));
}

TEST_F(ListForms, OfOneClassAreRefused) {
  put("train.txt", "my set/a.png 0\nmy set/b.png 0\n");
  expect_data_error({"one class, '0'", "at least two"});
}

TEST_F(List, ImagesOfDifferentSizesNeedAnImageSize) {
  put("a.png", grey(2, 3, 1));
  put("b.png", grey(4, 4, 9));
  put("train.txt", "a.png 0\nb.png 1\n");
  expect_data_error({path("a.png").string(), "3 x 2", path("b.png").string(), "4 x 4", "image_size=N"});
  const Dataset data = open("", {.image_size = 2}).train;
  EXPECT_EQ(data.shape(), (ImageShape{3, 2, 2}));
  EXPECT_EQ(pixels_of(data, 1), Pixels(12, 9)) << "a grey image has its plane repeated";
}

TEST_F(List, WithAnImageSizeNoImageIsDecodedBeforeItIsRead) {
  put("a.png", colour(2, 2, 1, 2, 3));
  put("b.png", "bad");
  put("train.txt", "a.png 0\nb.png 1\n");
  expect_data_error({path("b.png").string(), "cannot be decoded"});
  const Dataset data = open("", {.image_size = 2}).train;
  EXPECT_EQ(pixels_of(data, 0), (Pixels{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}));
  expect_error(ErrorKind::data, {path("b.png").string(), "skip_bad"}, [&] { pixels_of(data, 1); });
}

TEST_F(List, SkipBadLooksAtAllImagesWhenItOpens) {
  put("a.png", colour(2, 2, 1, 2, 3));
  put("b.png", "bad");
  put("c.png", colour(2, 2, 1, 2, 3));
  put("train.txt", "a.png 0\nb.png 1\nc.png 1\n");
  const OpenedData data = open("", {.skip_bad = true, .image_size = 2});
  EXPECT_EQ(data.skipped.total(), 1);
  EXPECT_EQ(data.train.labels(), (Labels{0, 1}));
}

TEST_F(List, KeepsWhatWasReadWhenAllFitsInTheLimit) {
  put("a.png", colour(2, 2, 1, 1, 1));
  put("b.png", colour(2, 2, 1, 1, 1));
  put("train.txt", "a.png 0\nb.png 1\n");
  const Dataset kept = open("", {.image_size = 2, .memory_limit = 24}).train;
  const Dataset again = open("", {.image_size = 2, .memory_limit = 23}).train;
  EXPECT_EQ(pixels_of(kept, 0), pixels_of(again, 0));
  put("a.png", colour(2, 2, 5, 5, 5));
  put("b.png", colour(2, 2, 5, 5, 5));
  EXPECT_EQ(pixels_of(kept, 0), Pixels(12, 1));
  EXPECT_EQ(pixels_of(kept, 1), Pixels(12, 5)) << "not read before";
  EXPECT_EQ(pixels_of(again, 0), Pixels(12, 5));
}

TEST_F(List, ThreadsMayReadTheSameImages) {
  std::string lines;
  for (int i = 0; i < 40; ++i) {
    put(std::to_string(i) + ".png", grey(2, 2, i));
    lines += std::to_string(i) + ".png " + std::to_string(i % 2) + "\n";
  }
  put("train.txt", lines);
  const Dataset data = open("", {.image_size = 2}).train;
  std::vector<std::jthread> readers;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    readers.emplace_back([&] {
      for (std::int64_t i = 0; i < 40; ++i)
        if (pixels_of(data, i) != Pixels(12, static_cast<std::uint8_t>(i))) ++wrong;
    });
  readers.clear();
  EXPECT_EQ(wrong, 0);
}

TEST_F(List, Sha256IsOfTheContentAndNotOfThePlace) {
  put("one/a.png", grey(1, 1, 1));
  put("one/b.png", grey(1, 1, 1));
  put("one/train.txt", "a.png 0\nb.png 1\n");
  fs::copy(path("one"), path("two"), fs::copy_options::recursive);
  const auto sha = [&](const char* name, const OpenOptions& options) {
    return open_data("list:" + path(name).string() + "/train.txt", options).train.sha256();
  };
  for (const OpenOptions& options : {OpenOptions{}, OpenOptions{.image_size = 1}}) {
    const std::string first = sha("one", options);
    EXPECT_EQ(sha("two", options), first);
    put("two/train.txt", "a.png 1\nb.png 0\n");
    EXPECT_NE(sha("two", options), first) << "other labels";
    put("two/train.txt", "a.png 0\nb.png 1\n");
    put("two/a.png", encode_image(".png", grey(1, 1, 1)) + "x");
    EXPECT_NE(sha("two", options), first) << "another file";
    fs::copy_file(path("one/a.png"), path("two/a.png"), fs::copy_options::overwrite_existing);
  }
}

TEST(ListLines, OfThousandsOfClassesAreReadFast) {
  // The size of iNaturalist 2018.
  std::string text;
  for (int i = 0; i < 437513; ++i)
    text += "train_val2018/Aves/" + std::to_string(i) + ".jpg " + std::to_string(i % 8142) + "\n";
  const detail::ListLines lines = detail::read_list(text, "list.txt", "/");
  EXPECT_EQ(lines.names.size(), 437513u);
  EXPECT_EQ(lines.labels.distinct.size(), 8142u);
  EXPECT_EQ(lines.labels.inverse.back(), 437512 % 8142);
  EXPECT_EQ(lines.lines.back(), 437513);
}

}  // namespace
}  // namespace ulmus
