// The command `features`: arrays for other programs.

#include <cmath>
#include <cstring>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "cli/script_file.hpp"
#include "cli/tiny_data.hpp"

namespace ulmus::cli_test {
namespace {

using nlohmann::json;

class Features : public CliTest {
 protected:
  Features() {
    for (const char* part : {"train", "test"})
      write_image_folder(path("photos") / part, {"cat", "dog", "elk"}, part[1] == 'r' ? 5 : 2, 12);
    const Outcome trained = run({"train", "--data", "folder:photos", "--loss", "ce", "--model", "conv3", "--epochs",
                                 "1", "--batch-size", "5", "--threads", "1", "--out", "p", "--quiet"});
    if (trained.code != 0) throw std::runtime_error(trained.err);
  }

  Arguments features(const std::string& out, const Arguments& more = {}) const {
    return Arguments{"features",  "--data",    "folder:photos", "--model", "conv3",
                     "--weights", checkpoint_, "--json",        "--out",   out} +
           more;
  }

  /// The elements of an array that NpyWriter wrote.
  template <class Value>
  std::vector<Value> array(const std::string& name) const {
    const std::string bytes = read_bytes(path(name));
    const std::size_t begin = bytes.find('\n') + 1;
    EXPECT_EQ(begin % 64, 0u);
    std::vector<Value> values((bytes.size() - begin) / sizeof(Value));
    std::memcpy(values.data(), bytes.data() + begin, values.size() * sizeof(Value));
    return values;
  }

  const std::string checkpoint_ = "p/checkpoints/ce.seed0.safetensors";
};

TEST_F(Features, AreArraysThatARunTakes) {
  const Outcome outcome = run(features("x.npy", {"--quiet"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(outcome.err, "");
  const json written = json::parse(outcome.out);
  EXPECT_EQ(written.at("train"), 15);
  EXPECT_EQ(written.at("test"), 6);
  const std::size_t width = written.at("width");
  EXPECT_EQ(array<float>("x.npy").size(), 15 * width);
  EXPECT_EQ(array<float>("x-test.npy").size(), 6 * width);
  EXPECT_EQ(array<std::int64_t>("x-labels.npy"),
            (std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2}));
  EXPECT_EQ(read_bytes(path("x-classes.txt")), "cat\ndog\nelk\n");
  EXPECT_FALSE(fs::exists(path("x.npy.part")));

  const Outcome training = run({"train", "--data", written.at("address"), "--model", "linear", "--loss", "ce",
                                "--epochs", "2", "--out", "q", "--quiet", "--json"});
  ASSERT_EQ(training.code, 0) << training;
}

TEST_F(Features, AreThoseThatTheTrainedModelSees) {
  ASSERT_EQ(run(features("x.npy")).code, 0);
  ASSERT_EQ(run({"train", "--data", "folder:photos", "--loss", "ce", "--model", "conv3", "--weights", checkpoint_,
                 "--freeze", "backbone", "--epochs", "1", "--threads", "1", "--out", "f", "--quiet"})
                .code,
            0);
  // The run stores the same numbers as safetensors: those of the training part are the only file of 15 rows.
  bool found = false;
  const std::string bytes = read_bytes(path("x.npy"));
  for (const auto& file : fs::directory_iterator(path("f/features")))
    found |= read_bytes(file.path()).find(bytes.substr(bytes.find('\n') + 1)) != std::string::npos;
  EXPECT_TRUE(found);
}

TEST_F(Features, AreUsedByALinearModelAsTheyAre) {
  const Outcome outcome = run(features("x.npy", {"--quiet"}));
  ASSERT_EQ(outcome.code, 0) << outcome;
  const Outcome plan = run({"compare", "--data", json::parse(outcome.out).at("address"), "--model", "linear",
                            "--losses", "ce", "--dry-run"});
  EXPECT_NE(plan.out.find("features as they are"), std::string::npos) << plan;
}

TEST_F(Features, MayBeHalfAsLarge) {
  ASSERT_EQ(run(features("x.npy")).code, 0);
  ASSERT_EQ(run(features("h.npy", {"--half"})).code, 0);
  EXPECT_EQ(array<std::uint16_t>("h.npy").size(), array<float>("x.npy").size());
  EXPECT_NE(read_bytes(path("h.npy")).find("'<f2'"), std::string::npos);
  ASSERT_EQ(run({"inspect", "--data", "npy:h.npy,h-labels.npy?classes=h-classes.txt"}).code, 0);
}

TEST_F(Features, AnInterruptedCallGoesOn) {
  write_image_folder(path("many/train"), {"cat", "dog"}, 400, 12);
  write_image_folder(path("many/test"), {"cat", "dog"}, 2, 12);
  Arguments command = features("m.npy", {"--data", "folder:many"});
  ASSERT_EQ(run(command).code, 0);
  const std::string whole = read_bytes(path("m.npy"));
  fs::remove(path("m.npy"));
  Process process(command, place_);
  ASSERT_TRUE(appears(path("m.npy.part")));
  process.signal(SIGINT);
  const Outcome stopped = process.wait();
  if (stopped.code == 0) GTEST_SKIP() << "it was done before the signal came";
  EXPECT_EQ(stopped.code, 130) << stopped;
  EXPECT_FALSE(fs::exists(path("m.npy")));
  ASSERT_EQ(run(command).code, 0);
  EXPECT_EQ(read_bytes(path("m.npy")), whole);
  EXPECT_FALSE(fs::exists(path("m.npy.part")));
}

TEST_F(Features, OfImagesOf16BitsAreThoseOf8) {
  write_image_folder(path("deep/train"), {"cat", "dog", "elk"}, 5, 12);
  write_image_folder(path("deep/test"), {"cat", "dog", "elk"}, 2, 12);
  for (const auto& file : fs::recursive_directory_iterator(path("deep")))
    if (file.is_regular_file()) {
      cv::Mat image = cv::imread(file.path().string(), cv::IMREAD_COLOR);
      image.convertTo(image, CV_16U, 257);
      ASSERT_TRUE(cv::imwrite(file.path().string(), image));
    }
  ASSERT_EQ(run(features("x.npy")).code, 0);
  ASSERT_EQ(run(features("deep.npy", {"--data", "folder:deep"})).code, 0);
  EXPECT_EQ(read_bytes(path("deep.npy")), read_bytes(path("x.npy")));
}

TEST_F(Features, OfGreyImagesNeedABackboneForThem) {
  for (int label = 0; label < 2; ++label)
    for (int i = 0; i < 5; ++i)
      write_image(path("grey") / (label ? "a" : "b") / (std::to_string(i) + ".png"), label, i, 12, 1);
  EXPECT_TRUE(complains(run(features("x.npy", {"--data", "folder:grey"})), 3,
                        {checkpoint_, "are for 3 channels, the data have 1", "RGB"}));
  const Arguments script = {"features", "--data", "folder:grey", "--model", "torchscript:b.pt", "--out", "x.npy"};
  write_colour_backbone(path("b.pt"), 3);
  EXPECT_TRUE(complains(run(script), 3, {"b.pt", "fails on images of 1x12x12"}));
  write_colour_backbone(path("b.pt"), 4);
  EXPECT_TRUE(complains(run(script + Arguments{"--data", "folder:photos"}), 3,
                        {"b.pt", "of 2 images, expected features", "flatten"}));
  EXPECT_FALSE(fs::exists(path("x.npy")));
}

TEST_F(Features, OfOtherDataAreNotTaken) {
  const Arguments heads = {"train",     "--data",   "folder:photos", "--loss",   "ce", "--model", "conv3", "--weights",
                           checkpoint_, "--freeze", "backbone",      "--epochs", "1",  "--quiet", "--out"};
  ASSERT_EQ(run(heads + Arguments{"f"}).code, 0);
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(path("f/features"))) files.push_back(file.path());
  ASSERT_EQ(files.size(), 2u);
  const std::string other = read_bytes(files[1]);
  write_bytes(files[1], read_bytes(files[0]));
  fs::remove_all(path("f/results"));
  fs::remove_all(path("f/checkpoints"));
  EXPECT_TRUE(complains(run({"train", "--resume", "f", "--quiet"}), 3,
                        {files[1].filename().string(), "holds features of other data or weights", "remove the file"}));
  fs::remove(files[1]);
  EXPECT_EQ(run({"train", "--resume", "f", "--quiet"}).code, 0);
  EXPECT_EQ(read_bytes(files[1]), other);
}

TEST_F(Features, MistakesAreOneLine) {
  EXPECT_TRUE(complains(run(features("x.bin")), 2, {"--out is 'x.bin'", ".npy"}));
  EXPECT_TRUE(complains(run({"features", "--data", "folder:photos", "--out", "x.npy"}), 2,
                        {"no backbone", "--model efficientnet-lite0"}));
  EXPECT_TRUE(complains(run({"features", "--data", "folder:photos", "--model", "resnet18", "--out", "x.npy"}), 2,
                        {"no weights of 'resnet18'", "script/weights resnet18"}));
  // Photographs without stored weights and without a name: what to do, and from nothing.
  write_image_folder(path("large"), {"cat", "dog"}, 5, 50);
  Place empty = place_;
  empty.environment = {{"ULMUS_CACHE", path("nothing").string()}};
  EXPECT_TRUE(
      complains(ulmus({"features", "--data", "folder:large", "--model", "efficientnet-lite0", "--out", "x.npy"}, empty),
                2, {"no weights of 'efficientnet-lite0' are stored in", "script/weights efficientnet-lite0"}));
  EXPECT_TRUE(
      complains(ulmus({"compare", "--data", "folder:large", "--losses", "ce", "--unfreeze", "2", "--dry-run"}, empty),
                2, {"--unfreeze 2", "random weights", "--weights FILE", "script/weights"}));
  const Outcome plan = ulmus({"compare", "--data", "folder:large", "--losses", "ce", "--dry-run"}, empty);
  EXPECT_EQ(plan.code, 0) << plan;
  EXPECT_NE(plan.err.find("'script/weights efficientnet-lite0' fetches them (17 MB)"), std::string::npos) << plan;
  EXPECT_TRUE(complains(run(features("x.npy", {"--model", "resnet20"})), 3, {"weights", "resnet20"}));
  EXPECT_TRUE(complains(run(features("none/x.npy", {"--loader-threads", "-1"})), 2, {"--loader-threads"}));
  write_bytes(path("t.csv"), "a,label\n1,x\n2,y\n3,x\n4,y\n");
  EXPECT_TRUE(complains(run(features("x.npy", {"--data", "csv:t.csv?label=label"})), 2, {"holds features already"}));
  EXPECT_FALSE(fs::exists(path("x.npy")));
}

}  // namespace
}  // namespace ulmus::cli_test
