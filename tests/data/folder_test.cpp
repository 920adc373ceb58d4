#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <opencv2/imgproc.hpp>

#include "data/image_files.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/data/loader.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using test::colour;
using test::encode_image;
using test::expect_error;
using test::grey;
using test::pixels_of;
using Pixels = std::vector<std::uint8_t>;

cv::Mat noise(int height, int width) {
  cv::Mat image(height, width, CV_8UC3);
  cv::RNG generator(7);
  generator.fill(image, cv::RNG::UNIFORM, 0, 256);
  return image;
}

class Folder : public ::testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void put(const std::string& name, const std::string& bytes) const {
    fs::create_directories(path(name).parent_path());
    write_file(path(name), bytes);
  }
  void put(const std::string& name, const cv::Mat& image) const {
    put(name, encode_image(fs::path(name).extension().string(), image));
  }
  std::string address() const { return "folder:" + folder_.path().string(); }
  OpenedData open(const OpenOptions& options = {}) const { return open_data(address(), options); }
  void expect_data_error(std::initializer_list<std::string_view> parts, const OpenOptions& options = {}) const {
    expect_error(ErrorKind::data, parts, [&] { open(options); });
  }

  TemporaryFolder folder_;
};

TEST_F(Folder, ClassesAndImagesAreInByteOrderOfTheirNames) {
  put("b/10.png", grey(1, 1, 10));
  put("b/2.png", grey(1, 1, 2));
  put("a/x.png", grey(1, 1, 30));
  put("C/x.png", grey(1, 1, 40));
  const OpenedData data = open();
  EXPECT_EQ(data.train.name(), address());
  EXPECT_EQ(data.train.class_names(), (std::vector<std::string>{"C", "a", "b"}));
  EXPECT_EQ(data.train.labels(), (std::vector<std::int64_t>{0, 1, 2, 2}));
  std::vector<int> values;
  for (std::int64_t i = 0; i < data.train.size(); ++i) values.push_back(pixels_of(data.train, i)[0]);
  EXPECT_EQ(values, (std::vector<int>{40, 30, 10, 2}));
  EXPECT_FALSE(data.test);
}

TEST_F(Folder, ClassesThatAreNumbersAreInNumericalOrder) {
  for (const char* name : {"train/0", "train/1", "train/10", "train/2", "test/10", "test/02"})
    put(std::string(name) + "/x.png", grey(1, 1, 1));
  const OpenedData data = open();
  EXPECT_EQ(data.train.class_names(), (std::vector<std::string>{"0", "1", "2", "10"}));
  EXPECT_EQ(data.train.labels(), (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(data.test->labels(), (std::vector<std::int64_t>{2, 3})) << "by number";
}

TEST_F(Folder, ClassesOfARunAreFoundByNameInItsOrder) {
  for (const char* name : {"0", "10", "2"}) put(std::string(name) + "/x.png", grey(1, 1, 1));
  const std::vector<std::string> earlier{"0", "1", "10", "2"};
  const Dataset data = open({.classes = earlier}).train;
  EXPECT_EQ(data.class_names(), earlier);
  EXPECT_EQ(data.labels(), (std::vector<std::int64_t>{0, 2, 3}));
  expect_data_error({"the class '2', which the run lacks", "'0', '1', '10'"}, {.classes = {"0", "1", "10"}});
}

TEST_F(Folder, ClassesThatLookAlikeAreNamed) {
  for (const char* name : {"Cat", "cat", "dog"}) put(std::string(name) + "/x.png", grey(1, 1, 1));
  expect_data_error({path("Cat").string(), path("cat").string(), "look alike"});
  fs::rename(path("Cat"), path("None"));
  EXPECT_EQ(open().train.class_names(), (std::vector<std::string>{"None", "cat", "dog"})) << "a folder was made so";
}

TEST_F(Folder, OtherAndHiddenFilesArePassedOver) {
  put("a/x.PNG", encode_image(".png", grey(1, 1, 1)));
  put("a/.hidden.png", "not an image");
  put("a/readme.txt", "text");
  put("a/text", "no extension");
  put("b/y.pgm", grey(1, 1, 2));
  put(".cache/z.png", "not an image");
  put("notes.txt", "text");
  EXPECT_EQ(open().train.labels(), (std::vector<std::int64_t>{0, 1}));
}

TEST_F(Folder, PixelsAreRgbChannelsFirst) {
  cv::Mat image = colour(1, 2, 10, 20, 30);
  image.at<cv::Vec3b>(0, 1) = {60, 50, 40};
  put("a/x.png", image);
  put("b/x.bmp", colour(1, 2, 1, 2, 3));
  const Dataset data = open().train;
  EXPECT_EQ(data.shape(), (ImageShape{3, 1, 2}));
  EXPECT_EQ(pixels_of(data, 0), (Pixels{10, 40, 20, 50, 30, 60}));
  EXPECT_EQ(pixels_of(data, 1), (Pixels{1, 1, 2, 2, 3, 3}));
}

TEST_F(Folder, GreyImagesHaveOneChannelUnlessOneIsColoured) {
  put("a/x.png", grey(1, 2, 9));
  put("b/x.jpg", grey(1, 2, 200));
  EXPECT_EQ(open().train.shape().channels, 1);
  put("b/y.png", colour(1, 2, 1, 2, 3));
  for (const std::int64_t memory_limit : {1 << 20, 0}) {
    const Dataset data = open({.memory_limit = memory_limit}).train;
    EXPECT_EQ(data.shape().channels, 3);
    EXPECT_EQ(pixels_of(data, 0), Pixels(6, 9));
    EXPECT_EQ(pixels_of(data, 2), (Pixels{1, 1, 2, 2, 3, 3}));
  }
}

TEST_F(Folder, DecodesEveryFormat) {
  for (const char* extension : {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
    put(std::string("a/x") + extension, colour(8, 8, 120, 120, 120));
  put("b/x.pgm", grey(8, 8, 5));
  const Dataset data = open().train;
  ASSERT_EQ(data.size(), 9);
  for (std::int64_t i = 0; i < 8; ++i) EXPECT_NEAR(pixels_of(data, i)[0], 120, 2);
  EXPECT_EQ(pixels_of(data, 8)[0], 5);
}

TEST_F(Folder, ExifOrientationIsApplied) {
  put("a/x.jpg", test::with_orientation(encode_image(".jpg", grey(8, 16, 100)), 6));  // rotate right by 90 degrees
  put("b/x.png", grey(16, 8, 1));
  EXPECT_EQ(open().train.shape(), (ImageShape{1, 16, 8}));
}

TEST_F(Folder, TrainAndTestAreTwoParts) {
  put("train/a/1.png", grey(1, 1, 1));
  put("train/b/1.png", grey(1, 1, 2));
  put("train/c/1.png", grey(1, 1, 3));
  put("val/a/1.png", "not used");
  put("test/c/1.png", grey(1, 1, 4));
  const OpenedData data = open();
  EXPECT_EQ(data.train.labels(), (std::vector<std::int64_t>{0, 1, 2}));
  ASSERT_TRUE(data.test);
  EXPECT_EQ(data.test->name(), address());
  EXPECT_EQ(data.test->labels(), (std::vector<std::int64_t>{2}));
  EXPECT_EQ(data.test->class_names(), data.train.class_names());
  EXPECT_EQ(pixels_of(*data.test, 0), Pixels{4});
  EXPECT_NE(data.test->sha256(), data.train.sha256());
}

TEST_F(Folder, ATestClassThatTrainLacksIsAnError) {
  put("train/a/1.png", grey(1, 1, 1));
  put("train/b/1.png", grey(1, 1, 2));
  put("test/d/1.png", grey(1, 1, 4));
  expect_data_error({path("test").string(), "class 'd'", "training part lacks"});
}

TEST_F(Folder, TestNeedsTrainBesideIt) {
  put("test/a/1.png", grey(1, 1, 4));
  expect_data_error({folder_.path().string(), "no train folder"});
}

TEST_F(Folder, ATestPartWithoutClassesIsAnError) {
  put("train/a/1.png", grey(1, 1, 1));
  put("train/b/1.png", grey(1, 1, 2));
  fs::create_directory(path("test"));
  expect_data_error({path("test").string(), "no class folder"});
}

TEST_F(Folder, AClassMayBeCalledTrain) {
  put("bus/1.png", grey(1, 1, 1));
  put("train/1.png", grey(1, 1, 2));
  const OpenedData data = open();
  EXPECT_EQ(data.train.class_names(), (std::vector<std::string>{"bus", "train"}));
  EXPECT_FALSE(data.test);
}

TEST_F(Folder, RefusesWhatIsNoSetOfClasses) {
  expect_error(ErrorKind::data, {"/nonexistent", "not a folder"}, [] { open_data("folder:/nonexistent"); });
  expect_data_error({folder_.path().string(), "no subfolder", "two classes"});
  put("only/1.png", grey(1, 1, 1));
  expect_data_error({folder_.path().string(), "one class, 'only'"});
  fs::create_directory(path("empty"));
  expect_data_error({path("empty").string(), "no image"});
}

TEST_F(Folder, RefusesAClassNameThatIsNotUtf8) {
  put("a/1.png", grey(1, 1, 1));
  put("caf\xe9/1.png", grey(1, 1, 1));
  expect_data_error({"UTF-8", "rename"});
}

TEST_F(Folder, ImagesOfDifferentSizesNeedAnImageSize) {
  put("a/1.png", grey(2, 3, 1));
  put("b/1.png", grey(2, 3, 1));
  put("b/2.png", grey(4, 3, 1));
  expect_data_error({path("a/1.png").string(), "3 x 2", path("b/2.png").string(), "3 x 4", "image_size=N"});
  EXPECT_EQ(open({.image_size = 2}).train.shape(), (ImageShape{1, 2, 2}));
}

TEST_F(Folder, TheFirstOfSeveralFaultsIsReportedWhateverTheThreads) {
  for (int i = 10; i < 60; ++i) put("a/" + std::to_string(i) + ".png", grey(2, i % 9 == 8 ? 3 : 2, i));
  put("b/1.png", "bad");
  for (const int threads : {1, 2, 5, 0})
    expect_data_error({path("a/10.png").string(), path("a/17.png").string(), "3 x 2"}, {.threads = threads});
  put("a/13.png", "bad");
  for (const int threads : {1, 2, 5, 0}) expect_data_error({path("a/13.png").string()}, {.threads = threads});
}

TEST_F(Folder, ResizingScalesTheShorterSideAndKeepsTheCentre) {
  cv::Mat wide(4, 12, CV_8UC1);
  for (int x = 0; x < 12; ++x) wide.col(x).setTo(x / 4 * 100);
  put("a/wide.png", wide);
  put("b/tall.png", cv::Mat(wide.t()));
  for (const std::int64_t side : {4, 2}) {
    const Dataset data = open({.image_size = side}).train;
    EXPECT_EQ(pixels_of(data, 0), Pixels(static_cast<std::size_t>(side * side), 100));
    EXPECT_EQ(pixels_of(data, 1), Pixels(static_cast<std::size_t>(side * side), 100));
  }
}

TEST_F(Folder, ShrinkingAveragesOverTheAreaAndEnlargingIsLinear) {
  cv::Mat stripes(8, 8, CV_8UC1);
  for (int x = 0; x < 8; ++x) stripes.col(x).setTo(x % 4 == 3 ? 200 : 0);
  put("a/1.png", stripes);
  put("b/1.png", grey(2, 2, 80));
  EXPECT_EQ(pixels_of(open({.image_size = 2}).train, 0), Pixels(4, 50));
  put("a/1.png", (cv::Mat_<std::uint8_t>(1, 2) << 0, 200));
  put("b/1.png", grey(1, 2, 0));
  const Pixels enlarged = pixels_of(open({.image_size = 2}).train, 0);
  EXPECT_EQ(enlarged, (Pixels{50, 150, 50, 150}));
}

/// A region as RGB planes.
Pixels planes_of(const cv::Mat& image) {
  Pixels planes;
  for (int c = image.channels() - 1; c >= 0; --c) {
    cv::Mat plane;
    cv::extractChannel(image, plane, c);
    planes.insert(planes.end(), plane.begin<std::uint8_t>(), plane.end<std::uint8_t>());
  }
  return planes;
}

TEST_F(Folder, CropsComeFromTheFilesWhereTheseWereResized) {
  const cv::Mat large = noise(40, 60), small = noise(5, 5);
  put("a/large.png", large);
  put("b/small.png", small);
  put("c/grey.png", grey(24, 24, 70));
  put("train.txt", "a/large.png 0\nb/small.png 1\nc/grey.png 2\n");
  const std::string list = fmt::format("list:{}?root={}", path("train.txt").string(), folder_.path().string());
  for (const OpenOptions& options : {OpenOptions{.image_size = 8}, OpenOptions{.image_size = 8, .memory_limit = 1}})
    for (const Dataset& data : {open(options).train, open_data(list, options).train}) {
      const auto crop = [&](std::int64_t index, cv::Size size, const cv::Rect& box) {
        Pixels pixels(8 * 8 * 3);
        const auto choose = [&](std::int64_t height, std::int64_t width) {
          EXPECT_EQ(cv::Size(static_cast<int>(width), static_cast<int>(height)), size);
          return CropBox{.top = box.y, .left = box.x, .height = box.height, .width = box.width};
        };
        EXPECT_TRUE(data.read_crop(index, choose, pixels));
        return pixels;
      };
      cv::Mat expected;
      const cv::Rect box(5, 3, 24, 16), all(0, 0, 5, 5);
      cv::resize(large(box), expected, {8, 8}, 0, 0, cv::INTER_AREA);
      EXPECT_EQ(crop(0, {60, 40}, box), planes_of(expected));
      cv::resize(small, expected, {8, 8}, 0, 0, cv::INTER_LINEAR_EXACT);
      EXPECT_EQ(crop(1, {5, 5}, all), planes_of(expected));
      EXPECT_EQ(crop(2, {24, 24}, box & cv::Rect(0, 0, 24, 24)), Pixels(8 * 8 * 3, 70));
    }
}

TEST_F(Folder, TheLoaderCutsRandomCropsOutOfTheFiles) {
  put("a/1.png", noise(40, 60));
  put("b/1.png", noise(33, 20));
  const Dataset data = open({.image_size = 8}).train;
  const Dataset crops = test::with_images(data, [&](std::int64_t index, std::span<std::uint8_t> pixels) {
    Stream stream(5, "augment", 2, static_cast<std::uint64_t>(index));
    data.read_crop(
        index, [&](std::int64_t height, std::int64_t width) { return random_crop(height, width, 0.08, stream); },
        pixels);
  });
  const auto epoch = [](const Dataset& of, const char* augmentation) {
    Loader loader(of, {0, 1}, {.augmentation = Augmentation::parse(augmentation, of.shape()), .seed = 5});
    loader.start(2);
    Batch batch;
    EXPECT_TRUE(loader.next(batch));
    return batch.inputs;
  };
  EXPECT_EQ(epoch(data, "rrc"), epoch(crops, "none"));
  EXPECT_NE(epoch(data, "rrc"), epoch(data, "none"));
}

TEST_F(Folder, ImagesThatHaveTheirSizeHaveNoOtherCrops) {
  put("a/1.png", noise(8, 8));
  put("b/1.png", noise(8, 8));
  const auto crops = [](const Dataset& data) {
    Pixels pixels(static_cast<std::size_t>(data.shape().pixels()));
    return data.read_crop(
        0,
        [](std::int64_t height, std::int64_t width) {
          return CropBox{0, 0, height, width};
        },
        pixels);
  };
  EXPECT_FALSE(crops(open().train));
  EXPECT_FALSE(crops(open({.image_size = 8}).train));
  EXPECT_TRUE(crops(open({.image_size = 4}).train));
}

TEST_F(Folder, AnUndecodableImageIsNamedWithTheWayOut) {
  put("a/1.png", grey(1, 1, 1));
  put("b/1.png", grey(1, 1, 1));
  for (const std::string& bytes :
       {std::string("hello"), std::string(), encode_image(".png", noise(40, 40)).substr(0, 900)}) {
    put("b/broken.png", bytes);
    expect_data_error({path("b/broken.png").string(), "skip_bad"});
  }
}

TEST_F(Folder, ATruncatedJpegIsUndecodable) {
  const std::string jpeg = encode_image(".jpg", noise(40, 40));
  put("a/1.jpg", jpeg);
  put("b/1.jpg", jpeg + "trailing bytes are harmless");
  EXPECT_EQ(open().train.size(), 2);
  for (const std::size_t part : {3, 5, 9}) {
    put("b/2.jpg", jpeg.substr(0, jpeg.size() * part / 10));
    expect_data_error({path("b/2.jpg").string(), "truncated", "skip_bad"});
  }
}

TEST_F(Folder, TheFirstBadImageIsReportedWhateverTheThreads) {
  for (int i = 10; i < 60; ++i)
    put("a/" + std::to_string(i) + ".png", i % 7 == 6 ? "bad" : encode_image(".png", grey(1, 1, i)));
  put("b/1.png", "bad");
  for (const int threads : {1, 2, 5, 0}) expect_data_error({path("a/13.png").string()}, {.threads = threads});
}

TEST_F(Folder, WhatIsNoRegularFileIsNeverOpened) {
  put("a/1.png", grey(1, 1, 1));
  put("b/1.png", grey(1, 1, 1));
  ASSERT_EQ(::mkfifo(path("a/2.png").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo(path("a/pipe").c_str(), 0600), 0);
  fs::create_symlink(path("nowhere"), path("b/2.png"));
  const OpenedData data = open();
  EXPECT_EQ(data.train.size(), 2);
  EXPECT_EQ(data.notes,
            (std::vector<std::string>{"skipped, not readable as images: broken link 1, no regular file 2"}));
}

TEST_F(Folder, SubfoldersOfAClassAreItsImages) {
  put("a/1.png", grey(1, 1, 1));
  put("a/s/2.png", grey(1, 1, 2));
  put("a/s/t/3.png", grey(1, 1, 3));
  put("b/deep/1.png", grey(1, 1, 4));
  fs::create_directory_symlink(path("a"), path("a/s/loop"));
  fs::create_directory_symlink(folder_.path(), path("b/root"));
  const OpenedData data = open();
  EXPECT_EQ(data.train.labels(), (std::vector<std::int64_t>{0, 0, 0, 1}));
  EXPECT_EQ(pixels_of(data.train, 2)[0], 3);
  ASSERT_EQ(data.notes.size(), 1u);
  EXPECT_NE(data.notes[0].find("link to a folder around it 2"), std::string::npos) << data.notes[0];
}

TEST_F(Folder, ContentAndNotTheEndingTellsAnImage) {
  const std::string jpeg = encode_image(".jpg", grey(1, 1, 1));
  for (const char* name : {"a/1.jfif", "a/2.JPE", "a/3", "a/4.bak", "b/1.gif"}) put(name, jpeg);
  put("b/2.gif", "GIF89a");
  put("b/3.GIF", "GIF89a");
  put("b/4", "nothing");
  put("b/5.nef", encode_image(".tif", grey(1, 1, 1)));
  put("notes.txt", "text");
  put("6.png", grey(1, 1, 1));
  put("b/__MACOSX/._1.jpg", "left by a program");
  put("b/Thumbs.db", "left by a program");
  const OpenedData data = open();
  EXPECT_EQ(data.train.counts(), (std::vector<std::int64_t>{4, 1}));
  EXPECT_EQ(data.notes, (std::vector<std::string>{"skipped, not readable as images: .gif 2, .nef 1, .txt 1, "
                                                  "image in no class folder 1, no image 1"}));
}

TEST_F(Folder, PartsAreKnownByTheirNamesInAnyCase) {
  for (const char* name : {"Training/a/1.png", "Training/b/1.png", "Testing/a/1.png", "Valid/a/1.png", "extra/a/1.png"})
    put(name, grey(1, 1, 1));
  const OpenedData data = open();
  EXPECT_EQ(data.train.class_names(), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(data.test);
  EXPECT_EQ(data.test->size(), 1);
  ASSERT_EQ(data.notes.size(), 2u);
  EXPECT_NE(data.notes[0].find("Valid' is not used"), std::string::npos) << data.notes[0];
  EXPECT_NE(data.notes[1].find("extra' is not used"), std::string::npos) << data.notes[1];
  put("train/a/1.png", grey(1, 1, 1));
  expect_data_error({"both 'Training' and 'train'", "merge"});
}

TEST_F(Folder, AValidationPartAloneIsSaidNotToBeUsed) {
  for (const char* name : {"train/a/1.png", "train/b/1.png", "validation/a/1.png"}) put(name, grey(1, 1, 1));
  const OpenedData data = open();
  EXPECT_FALSE(data.test);
  ASSERT_EQ(data.notes.size(), 1u);
  EXPECT_NE(data.notes[0].find("call it 'test'"), std::string::npos) << data.notes[0];
}

TEST_F(Folder, TheBitsInUseOverAllImagesScaleThem) {
  put("a/1.png", cv::Mat(1, 1, CV_16UC1, cv::Scalar(1000)));
  put("b/1.png", cv::Mat(1, 1, CV_16UC1, cv::Scalar(4000)));
  put("b/2.png", grey(1, 1, 9));
  for (const std::int64_t memory_limit : {1 << 20, 0}) {
    const OpenedData data = open({.memory_limit = memory_limit});
    EXPECT_EQ(data.image_bits, 12);
    EXPECT_EQ(pixels_of(data.train, 0), Pixels{62});
    EXPECT_EQ(pixels_of(data.train, 1), Pixels{249});
    EXPECT_EQ(pixels_of(data.train, 2), Pixels{9});
    ASSERT_EQ(data.notes.size(), 1u);
    EXPECT_NE(data.notes[0].find("12 are in use: 4095 is white"), std::string::npos) << data.notes[0];
  }
  EXPECT_EQ(pixels_of(open({.image_bits = 16}).train, 1), Pixels{16});
  expect_data_error({path("a/1.png").string(), "10 bits", "image_bits"}, {.image_bits = 8});

  put("list.txt", "a/1.png 0\nb/1.png 1\n");
  put("mixed.txt", "b/2.png 0\nb/1.png 1\n");
  const auto list = [&](const char* name, OpenOptions options) {
    options.image_size = 1;
    return open_data("list:" + path(name).string(), options);
  };
  EXPECT_EQ(list("list.txt", {}).image_bits, 12);
  EXPECT_EQ(pixels_of(list("list.txt", {}).train, 1), Pixels(list("list.txt", {}).train.shape().pixels(), 249));
  const OpenedData mixed = list("mixed.txt", {});
  expect_error(ErrorKind::data, {"b/1.png", "image_bits", "12"}, [&] { pixels_of(mixed.train, 1); });
  EXPECT_EQ(pixels_of(list("mixed.txt", {.image_bits = 12}).train, 1), Pixels(3, 249));
}

TEST_F(Folder, WhatWasDoneToImagesIsCounted) {
  put("a/1.png", cv::Mat(1, 1, CV_8UC4, cv::Scalar(0, 0, 0, 0)));
  put("a/2.png", cv::Mat(1, 1, CV_8UC4, cv::Scalar(0, 0, 0, 0)));
  put("b/1.png", cv::Mat(1, 1, CV_8UC4, cv::Scalar(0, 0, 0, 255)));
  const OpenedData data = open();
  EXPECT_EQ(pixels_of(data.train, 0), (Pixels{255, 255, 255}));
  EXPECT_EQ(pixels_of(data.train, 2), (Pixels{0, 0, 0}));
  EXPECT_EQ(data.notes, (std::vector<std::string>{"2 images are transparent and shown on white, the first '" +
                                                  path("a/1.png").string() + "'"}));
}

TEST_F(Folder, AnImageTooLongToBeResizedIsOneBadImage) {
  put("a/1.png", grey(8, 8, 1));
  put("b/1.png", grey(8, 8, 1));
  put("b/2.png", cv::Mat(1, 200'000, CV_8UC1, cv::Scalar(0)));
  expect_data_error({path("b/2.png").string(), "200000 x 1", "skip_bad"}, {.image_size = 64});
  EXPECT_EQ(open({.skip_bad = true, .image_size = 64}).skipped.text(), "too many pixels 1");
}

TEST_F(Folder, SkipBadCountsByTheReason) {
  const std::string sound = encode_image(".png", grey(8, 8, 1));
  put("a/1.png", sound);
  put("b/1.png", sound);
  put("b/text.png", "a,b\n1,2\n");
  put("b/page.jpg", "<!DOCTYPE html><html></html>");
  put("b/empty.jpg", "");
  put("b/half.png", sound.substr(0, sound.size() / 2));
  put("b/moving.jpg", "GIF89a and more");
  put("b/phone.jpg", std::string("\0\0\0\x18"
                                 "ftypheic\0\0\0\0",
                                 16));
  put("b/wide.png", grey(1, 200'000, 1));
  const OpenedData data = open({.skip_bad = true, .image_size = 8, .max_pixels = 100'000});
  EXPECT_EQ(data.skipped.text(), "damaged 1, not an image 3, of another format 2, too many pixels 1");
  ASSERT_EQ(all_notes(data).size(), 1u);
  EXPECT_TRUE(all_notes(data)[0].starts_with(
      "7 images that cannot be used are skipped (damaged 1, not an image 3, of another format 2, too many pixels "
      "1): '"))
      << all_notes(data)[0];
  EXPECT_TRUE(all_notes(data)[0].ends_with(", ...")) << all_notes(data)[0];
}

TEST_F(Folder, SkipBadPassesOverAndCounts) {
  put("a/1.png", grey(1, 1, 1));
  put("a/2.png", "bad");
  put("a/3.png", grey(1, 1, 3));
  put("b/1.png", grey(1, 1, 4));
  put("b/2.png", "");
  const OpenedData data = open({.skip_bad = true});
  EXPECT_EQ(data.skipped.text(), "not an image 2");
  EXPECT_EQ(data.train.labels(), (std::vector<std::int64_t>{0, 0, 1}));
  EXPECT_EQ(pixels_of(data.train, 1), Pixels{3});

  fs::remove(path("a/2.png"));
  fs::remove(path("b/2.png"));
  EXPECT_EQ(open().train.sha256(), data.train.sha256()) << "passed-over images do not count";
}

TEST_F(Folder, AClassLeftEmptyBySkipBadIsAnError) {
  put("a/1.png", grey(1, 1, 1));
  put("b/1.png", "bad");
  put("b/2.png", "bad");
  expect_data_error({"class 'b'", folder_.path().string(), "no image left", "2"}, {.skip_bad = true});
}

TEST_F(Folder, BeyondTheMemoryLimitImagesAreDecodedAgain) {
  for (int i = 0; i < 6; ++i) put((i < 3 ? "a/" : "b/") + std::to_string(i) + ".png", colour(4, 4, i, 2 * i, 3 * i));
  const Dataset kept = open({.memory_limit = 6 * 48}).train;
  const Dataset again = open({.memory_limit = 6 * 48 - 1}).train;
  EXPECT_EQ(kept.sha256(), again.sha256());
  for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(pixels_of(kept, i), pixels_of(again, i));

  put("a/0.png", colour(5, 4, 0, 0, 0));
  put("a/1.png", std::string("bad"));
  fs::remove(path("a/2.png"));
  EXPECT_EQ(pixels_of(kept, 0).size(), 48u);
  expect_error(ErrorKind::data, {path("a/0.png").string(), "changed"}, [&] { pixels_of(again, 0); });
  expect_error(ErrorKind::data, {path("a/1.png").string(), "changed"}, [&] { pixels_of(again, 1); });
  expect_error(ErrorKind::data, {path("a/2.png").string()}, [&] { pixels_of(again, 2); });
}

TEST_F(Folder, AGreyFileThatTurnedColouredHasChanged) {
  put("a/0.png", grey(4, 4, 1));
  put("b/0.png", grey(4, 4, 1));
  const Dataset data = open({.memory_limit = 0}).train;
  put("a/0.png", colour(4, 4, 1, 2, 3));
  expect_error(ErrorKind::data, {path("a/0.png").string(), "changed"}, [&] { pixels_of(data, 0); });
}

TEST_F(Folder, TheSameForAnyNumberOfThreads) {
  for (int i = 0; i < 40; ++i) put((i % 2 ? "a/" : "b/") + std::to_string(i) + ".png", grey(2, 2, i));
  const Dataset one = open({.threads = 1}).train;
  for (const int threads : {2, 5}) {
    const Dataset many = open({.threads = threads}).train;
    EXPECT_EQ(many.sha256(), one.sha256());
    for (std::int64_t i = 0; i < 40; ++i) EXPECT_EQ(pixels_of(many, i), pixels_of(one, i));
  }
}

TEST_F(Folder, Sha256IsOfTheContentAndNotOfThePlace) {
  put("one/a/1.png", grey(1, 1, 1));
  put("one/b/1.png", grey(1, 1, 2));
  fs::copy(path("one"), path("two"), fs::copy_options::recursive);
  const auto sha = [&](const char* name) { return open_data("folder:" + path(name).string()).train.sha256(); };
  const std::string first = sha("one");
  EXPECT_EQ(sha("two"), first);

  put("two/b/1.png", grey(1, 1, 3));
  EXPECT_NE(sha("two"), first) << "another pixel";
  fs::copy_file(path("one/b/1.png"), path("two/b/1.png"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(sha("two"), first);
  fs::rename(path("two/b/1.png"), path("two/b/2.png"));
  EXPECT_NE(sha("two"), first) << "another name";
  fs::rename(path("two/b/2.png"), path("two/b/1.png"));
  fs::rename(path("two/b"), path("two/c"));
  EXPECT_NE(sha("two"), first) << "another class";
}

}  // namespace
}  // namespace ulmus
