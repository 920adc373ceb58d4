#include "ulmus/data/image_stream.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

/// Writes a file with all pixels set to (blue, green, red).
void write_colour(const fs::path& path, const cv::Scalar& colour, int width = 4, int height = 4, int channels = 3) {
  fs::create_directories(path.parent_path());
  ASSERT_TRUE(cv::imwrite(path.string(), cv::Mat(height, width, CV_8UC(channels), colour)));
}

class ImageStreamTest : public ::testing::Test {
 protected:
  struct Read {
    std::vector<std::string> paths, failures;
    KindCounts reasons;
    std::vector<float> pixels;
  };

  fs::path path(const std::string& name) const { return folder_.path() / name; }

  Read read(const std::vector<std::string>& names, ImageStreamOptions options = {.shape = {3, 4, 4}}) const {
    std::vector<fs::path> paths;
    for (const auto& name : names) paths.push_back(path(name));
    ImageStream stream(paths, std::move(options));
    Read all;
    for (ImageBatch batch; stream.next(batch);) {
      EXPECT_FALSE(batch.paths.empty() && batch.failures.empty());
      for (const auto& image : batch.paths)
        all.paths.push_back(fs::path(image).lexically_relative(folder_.path()).string());
      for (const ImageFailure& failure : batch.failures) {
        all.failures.push_back(failure.message);
        all.reasons.add(failure.reason);
      }
      all.pixels.insert(all.pixels.end(), batch.pixels.begin(), batch.pixels.end());
    }
    return all;
  }

  const TemporaryFolder folder_;
};

TEST_F(ImageStreamTest, GoesThroughFoldersInTheOrderOfNamesWhateverTheThreads) {
  std::vector<std::string> expected;
  for (const char* name : {"a/0.png", "a/1/x.PNG", "a/10.png", "b.png", "c/d/e/1.jpg", "c/d/e/2.bmp", "é.png"}) {
    write_colour(path(std::string("in/") + name), {0, 0, 0});
    expected.push_back(std::string("in/") + name);
  }
  write_colour(path("in/.hidden.png"), {0, 0, 0});
  write_colour(path("in/.hidden/0.png"), {0, 0, 0});
  std::ofstream(path("in/notes.txt")) << "no image";
  fs::create_directory(path("in/empty"));
  EXPECT_EQ(read({"in"}).paths, expected);
  for (const int threads : {1, 2, 5})
    for (const std::int64_t size : {1, 3, 7, 100}) {
      const Read all = read({"in"}, {.shape = {3, 4, 4}, .batch_size = size, .threads = threads, .prefetch = 1});
      EXPECT_EQ(all.paths, expected) << threads << " threads, batches of " << size;
      EXPECT_TRUE(all.failures.empty());
    }
  EXPECT_EQ(read({"in/b.png", "in/a", "in/b.png"}).paths,
            (std::vector<std::string>{"in/b.png", "in/a/0.png", "in/a/1/x.PNG", "in/a/10.png", "in/b.png"}));
  EXPECT_TRUE(read({"in/empty"}).paths.empty());
  EXPECT_TRUE(read({}).paths.empty());
}

TEST_F(ImageStreamTest, EndsInFoldersThatHoldThemselves) {
  write_colour(path("in/a/0.png"), {0, 0, 0});
  fs::create_directory_symlink(path("in"), path("in/a/loop"));
  fs::create_directory_symlink(path("in/a"), path("in/b"));
  EXPECT_EQ(read({"in"}).paths, (std::vector<std::string>{"in/a/0.png", "in/b/0.png"}));
}

TEST_F(ImageStreamTest, ReportsWhatItCannotReadAndGoesOn) {
  write_colour(path("in/1.png"), {0, 0, 0});
  std::ofstream(path("in/2.png")) << "no image";
  std::ofstream(path("in/3.png"));
  write_colour(path("in/4.png"), {0, 0, 0}, 5, 4);
  write_colour(path("in/5.png"), {0, 0, 0});
  const Read all = read({"in"}, {.shape = {3, 4, 4}, .batch_size = 2, .threads = 2});
  EXPECT_EQ(all.paths, (std::vector<std::string>{"in/1.png", "in/5.png"}));
  ASSERT_EQ(all.failures.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NE(all.failures[i].find(std::to_string(i + 2) + ".png"), std::string::npos) << all.failures[i];
  EXPECT_NE(all.failures[2].find("5 x 4"), std::string::npos) << all.failures[2];
  EXPECT_EQ(all.reasons.total(), 3);
  EXPECT_EQ(all.reasons.counts().at("of another size"), 1) << all.reasons.text();
  EXPECT_EQ(all.pixels.size(), 2u * 48);
}

TEST_F(ImageStreamTest, MakesImagesOfTheModelsShape) {
  write_colour(path("colour.png"), {10, 100, 200}, 9, 6);
  write_colour(path("grey.png"), {77}, 6, 9, 1);
  const auto planes = [&](const std::string& name, std::int64_t channels) {
    const Read all = read({name}, {.shape = {channels, 4, 4}, .image_size = 4});
    EXPECT_EQ(all.pixels.size(), static_cast<std::size_t>(16 * channels));
    std::vector<int> values;
    for (std::size_t i = 0; i < all.pixels.size(); i += 16)
      values.push_back(static_cast<int>(all.pixels[i] * 255 + 0.5f));
    return values;
  };
  EXPECT_EQ(planes("colour.png", 3), (std::vector<int>{200, 100, 10}));
  EXPECT_EQ(planes("grey.png", 3), (std::vector<int>{77, 77, 77}));
  EXPECT_EQ(planes("grey.png", 1), (std::vector<int>{77}));
  EXPECT_EQ(planes("colour.png", 1), (std::vector<int>{120}));  // 0.299 * 200 + 0.587 * 100 + 0.114 * 10 = 119.64
}

TEST_F(ImageStreamTest, NormalisesAsTheLoaderDoes) {
  write_colour(path("in/0/a.png"), {10, 100, 200});
  write_colour(path("in/1/a.png"), {90, 20, 30});
  const OpenedData data = open_data("folder:" + path("in").string());
  const Normalisation normalisation = channel_statistics(data.train, std::vector<std::int64_t>{0, 1});
  Loader loader(data.train, {0, 1}, {.normalisation = normalisation});
  loader.start(0);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(read({"in"}, {.shape = {3, 4, 4}, .normalisation = normalisation}).pixels, batch.inputs);
}

TEST_F(ImageStreamTest, DecodesAsTrainingDoesAndCountsTheRest) {
  fs::create_directories(path("in/0"));
  fs::create_directories(path("in/1"));
  ASSERT_TRUE(cv::imwrite(path("in/0/deep.png").string(), cv::Mat(4, 4, CV_16UC1, cv::Scalar(1000))));
  ASSERT_TRUE(cv::imwrite(path("in/1/clear.png").string(), cv::Mat(4, 4, CV_8UC4, cv::Scalar(0, 0, 200, 51))));
  fs::copy_file(path("in/0/deep.png"), path("in/1/without"));
  std::ofstream(path("in/1/a.gif")) << "GIF89a";
  const OpenedData data = open_data("folder:" + path("in").string());
  Loader loader(data.train, {0, 1, 2}, {});
  loader.start(0);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(data.image_bits, 10);
  ImageStream stream({path("in")}, {.shape = {3, 4, 4}, .image_bits = data.image_bits});
  ImageBatch images;
  ASSERT_TRUE(stream.next(images));
  ASSERT_EQ(images.paths.size(), 3u);
  EXPECT_EQ(images.pixels, batch.inputs);
  const std::vector<std::string> notes = stream.notes();
  ASSERT_EQ(notes.size(), 3u);
  EXPECT_NE(notes[0].find("transparent"), std::string::npos) << notes[0];
  EXPECT_NE(notes[1].find("10 are in use"), std::string::npos) << notes[1];
  EXPECT_NE(notes[2].find(".gif 1"), std::string::npos) << notes[2];
}

TEST_F(ImageStreamTest, APipeIsAFailureAndNoWait) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const Read all = read({"pipe"});
  ASSERT_EQ(all.failures.size(), 1u);
  EXPECT_NE(all.failures[0].find("no regular file"), std::string::npos) << all.failures[0];
  EXPECT_EQ(all.reasons.text(), "no regular file 1");
}

TEST_F(ImageStreamTest, RefusesWhatCannotBe) {
  EXPECT_THROW(read({"nowhere"}), Error);
  write_colour(path("a.png"), {0, 0, 0});
  EXPECT_THROW(read({"a.png"}, {.shape = {4, 4, 4}}), Error);
  EXPECT_THROW(read({"a.png"}, {.shape = {3, 4, 4}, .threads = 0}), Error);
  EXPECT_THROW(read({"a.png"}, {.shape = {3, 4, 4}, .batch_size = 0}), Error);
}

TEST_F(ImageStreamTest, CanBeLeftInTheMiddle) {
  for (int i = 0; i < 20; ++i) write_colour(path("in/" + std::to_string(i) + ".png"), {0, 0, 0});
  ImageStream stream({path("in")}, {.shape = {3, 4, 4}, .batch_size = 1, .threads = 3});
  ImageBatch batch;
  EXPECT_TRUE(stream.next(batch));
}

}  // namespace
}  // namespace ulmus
