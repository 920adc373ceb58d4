// Missing, damaged or unsuitable data: exit code 3, one line that names them, no run folder.

#include <zlib.h>

#include "cli/tiny_data.hpp"
#include "ulmus/base/json.hpp"

namespace ulmus::cli_test {
namespace {

class DataErrors : public CliTest {
 protected:
  ::testing::AssertionResult refused(const std::string& data, const std::vector<std::string>& says,
                                     int code = 3) const {
    const auto before = contents();
    const auto outcome = run({"compare", "--data", data, "--data-root", "root", "--out", "o", "--quiet"});
    if (contents() != before) return ::testing::AssertionFailure() << "something is left behind\n" << outcome;
    return complains(outcome, code, says);
  }

  fs::path idx(const std::string& name) const { return path("root/mnist/" + name); }
};

TEST_F(DataErrors, AMissingFileOrRootIsNamed) {
  fs::remove(idx("t10k-labels-idx1-ubyte"));
  EXPECT_TRUE(refused("mnist", {"t10k-labels-idx1-ubyte", "missing"}));
  EXPECT_TRUE(complains(run(compare({"--data-root", "nowhere"})), 3, {"'nowhere'"}));
}

TEST_F(DataErrors, ATruncatedFileIsNamed) {
  fs::resize_file(idx("train-images-idx3-ubyte"), 5000);
  EXPECT_TRUE(refused("mnist", {"train-images-idx3-ubyte", "truncated"}));
}

TEST_F(DataErrors, AFileThatIsNotIdxIsNamed) {
  write_bytes(idx("train-labels-idx1-ubyte"), "these are no labels");
  EXPECT_TRUE(refused("mnist", {"train-labels-idx1-ubyte", "not an IDX file"}));
}

TEST_F(DataErrors, ADamagedGzipFileIsNamed) {
  const std::string images = read_bytes(idx("train-images-idx3-ubyte"));
  fs::remove(idx("train-images-idx3-ubyte"));
  const fs::path packed = idx("train-images-idx3-ubyte.gz");
  gzFile file = ::gzopen(packed.c_str(), "wb");
  ASSERT_EQ(::gzwrite(file, images.data(), static_cast<unsigned>(images.size())), static_cast<int>(images.size()));
  ::gzclose(file);
  EXPECT_EQ(run(compare({"--dry-run"})).code, 0);

  const std::string bytes = read_bytes(packed);
  write_bytes(packed, bytes.substr(0, bytes.size() / 2));
  EXPECT_TRUE(refused("mnist", {packed.filename().string()}));
  std::string flipped = bytes;
  flipped[bytes.size() / 2] = static_cast<char>(~flipped[bytes.size() / 2]);
  write_bytes(packed, flipped);
  EXPECT_TRUE(refused("mnist", {packed.filename().string()}));
}

TEST_F(DataErrors, AFolderWithoutTwoFilledClassesIsRefused) {
  EXPECT_TRUE(refused("folder:nowhere", {"'nowhere'", "not a folder"}));
  fs::create_directory(path("photos"));
  EXPECT_TRUE(refused("folder:photos", {"no subfolder"}));
  write_image_folder(path("photos"), {"cat"}, 3);
  EXPECT_TRUE(refused("folder:photos", {"one class, 'cat'"}));
  fs::create_directory(path("photos/dog"));
  EXPECT_TRUE(refused("folder:photos", {"photos/dog", "no image"}));
}

TEST_F(DataErrors, AnImageThatCannotBeDecodedIsNamedOrCounted) {
  write_image_folder(path("photos"), {"cat", "dog"}, 6);
  write_bytes(path("photos/dog/3.png"), "no image");
  EXPECT_TRUE(refused("folder:photos", {"photos/dog/3.png", "--skip-bad"}));
  const Outcome outcome = run({"compare", "--data", "folder:photos", "--skip-bad", "--dry-run"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_NE(outcome.out.find("1 image that cannot be used is skipped (not an image 1)"), std::string::npos) << outcome;
}

TEST_F(DataErrors, WhatIsPassedOverIsCountedByKind) {
  write_image_folder(path("photos"), {"cat", "dog"}, 6);
  fs::create_directory(path("photos/dog/more"));
  fs::rename(path("photos/dog/3.png"), path("photos/dog/more/3"));
  write_bytes(path("photos/dog/4.gif"), "GIF89a");
  write_bytes(path("photos/dog/notes"), "text");
  for (const Arguments& command :
       {Arguments{"compare", "--data", "folder:photos", "--dry-run"}, Arguments{"inspect", "--data", "folder:photos"},
        Arguments{"inspect", "--data", "folder:photos", "--json"}}) {
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome;
    EXPECT_NE(outcome.out.find(".gif 1, no image 1"), std::string::npos) << outcome;
  }
}

TEST_F(DataErrors, SkippedImagesAreCountedByTheReasonInOneLine) {
  write_image_folder(path("photos"), {"cat", "dog"}, 6);
  write_bytes(path("photos/dog/7.png"), "text");
  write_bytes(path("photos/dog/8.jpg"), "GIF89a");
  const std::string line = "2 images that cannot be used are skipped (not an image 1, of another format 1): '";
  const Outcome inspected = run({"inspect", "--data", "folder:photos"});
  const Outcome planned = run({"compare", "--data", "folder:photos", "--skip-bad", "--dry-run"});
  for (const Outcome& outcome : {inspected, planned}) {
    EXPECT_EQ(outcome.code, 0) << outcome;
    EXPECT_NE(outcome.out.find(line), std::string::npos) << outcome;
  }
  const Json json = Json::parse(run({"compare", "--data", "folder:photos", "--skip-bad", "--dry-run", "--json"}).out);
  EXPECT_EQ(json.at("skipped"), 2);
  EXPECT_EQ(json.at("skipped_by_reason"), (Json{{"not an image", 1}, {"of another format", 1}}));
  EXPECT_EQ(json.at("notes").at(0).get<std::string>().substr(0, line.size()), line);
}

TEST_F(DataErrors, AFileThatDeclaresTooManyPixelsIsOneBadFile) {
  write_image_folder(path("photos"), {"cat", "dog"}, 6);
  // A bitmap of 100,000 x 100,000 in 58 bytes.
  std::string bytes("BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xa0\x86\1\0\xa0\x86\1\0\1\0\x18\0", 30);
  bytes.resize(58);
  write_bytes(path("photos/dog/large.bmp"), bytes);
  EXPECT_TRUE(refused("folder:photos", {"large.bmp", "100000 x 100000", "--max-pixels", "--skip-bad"}));
  EXPECT_EQ(run({"compare", "--data", "folder:photos", "--skip-bad", "--dry-run"}).code, 0);
  EXPECT_EQ(run({"inspect", "--data", "folder:photos", "--image-size", "8"}).code, 0);
}

TEST_F(DataErrors, ImagesOfDifferentSizesNeedAnImageSize) {
  write_image_folder(path("photos"), {"cat", "dog"}, 4);
  write_image(path("photos/dog/large.png"), 1, 9, 20);
  EXPECT_TRUE(refused("folder:photos", {"20 x 20", "12 x 12", "--image-size"}));
  const Outcome outcome = run({"compare", "--data", "folder:photos", "--image-size", "16", "--dry-run"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_NE(outcome.out.find("3x16x16"), std::string::npos) << outcome;
}

TEST_F(DataErrors, ImagesTooSmallForTheModelAreRefused) {
  write_image_folder(path("photos"), {"cat", "dog"}, 4, 5);
  EXPECT_TRUE(refused("folder:photos", {"5x5", "--image-size"}, 2));
}

}  // namespace
}  // namespace ulmus::cli_test
