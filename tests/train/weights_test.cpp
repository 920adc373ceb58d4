#include "train/weights.hpp"

#include <gtest/gtest.h>

#include "temporary_folder.hpp"
#include "train/checkpoint.hpp"
#include "train/placement.hpp"
#include "train/safetensors.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::detail {
namespace {

/// Here the published weights are those of a resnet18 with 6 classes.
class Weights : public ::testing::Test {
 protected:
  static ModelOptions options(std::int64_t classes = 6, Head head = Head::linear) {
    return {.name = "resnet18", .height = 32, .width = 32, .classes = classes, .head = head};
  }
  static Classifier fresh(const ModelOptions& options, std::uint64_t seed = 2) {
    Classifier model = make_model(options);
    initialise(model, seed);
    return model;
  }

  Weights() {
    visit_tensors(*published_, [&](const std::string& name, const torch::Tensor& tensor) {
      file_.tensors[name] = tensor.is_floating_point() ? torch::randn_like(tensor) : tensor.clone();
    });
  }

  std::filesystem::path write() const {
    write_file(path_, encode_safetensors(file_));
    return path_;
  }

  /// Number of tensors with this name prefix that equal those in the file.
  int taken(const Classifier& model, const std::string& prefix) const {
    int count = 0;
    visit_tensors(*model, [&](const std::string& name, const torch::Tensor& tensor) {
      const auto found = file_.tensors.find(name);
      if (name.starts_with(prefix) && found != file_.tensors.end() && tensor.sizes() == found->second.sizes() &&
          torch::equal(tensor, found->second.to(tensor.scalar_type())))
        ++count;
    });
    return count;
  }

  std::string refusal(const ModelOptions& options) const {
    Classifier model = fresh(options);
    try {
      PretrainedWeights(write()).load_into(model, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      return error.what();
    }
    return "nothing";
  }

  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "weights.safetensors";
  Classifier published_ = fresh(options());
  TensorFile file_;
};

TEST_F(Weights, FillTheWholeModel) {
  Classifier model = fresh(options(), 5);
  const auto normalisation = PretrainedWeights(write()).load_into(model, options());
  EXPECT_EQ(taken(model, ""), 122);
  ASSERT_TRUE(normalisation);
  EXPECT_EQ(normalisation->mean, (std::vector<float>{0.485f, 0.456f, 0.406f}));
}

TEST_F(Weights, LeaveAHeadOfAnotherShapeOrKind) {
  for (const ModelOptions& other : {options(9), options(6, Head::cosine)}) {
    Classifier model = fresh(other, 5);
    PretrainedWeights(write()).load_into(model, other);
    EXPECT_EQ(taken(model, "fc."), 0);
    EXPECT_EQ(taken(model, ""), 120);
  }
  file_.tensors.erase("fc.weight");
  file_.tensors.erase("fc.bias");
  EXPECT_EQ(refusal(options()), "nothing");
}

TEST_F(Weights, OfOldFilesAndOfHalfPrecisionFit) {
  std::erase_if(file_.tensors, [](const auto& item) { return item.first.ends_with("num_batches_tracked"); });
  for (auto& [name, tensor] : file_.tensors) tensor = tensor.to(torch::kHalf);
  Classifier model = fresh(options(), 5);
  PretrainedWeights(write()).load_into(model, options());
  EXPECT_EQ(taken(model, ""), 102);
}

TEST_F(Weights, ThatDoNotFitAreNamedAndCounted) {
  const auto expect = [&](const char* part, const char* first) {
    const std::string message = refusal(options());
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find(first), std::string::npos) << message;
  };
  const TensorFile good = file_;
  file_.tensors.erase("layer2.0.conv1.weight");
  expect("1 tensor differs", "'layer2.0.conv1.weight' is missing");
  file_.tensors["layer9.weight"] = torch::ones({2});
  expect("2 tensors differ", "'layer2.0.conv1.weight' is missing");
  file_ = good;
  file_.tensors["conv1.weight"] = torch::ones({64, 1, 7, 7});
  expect("1 tensor differs", "'conv1.weight' is [64, 1, 7, 7], expected [64, 3, 7, 7]");
  file_ = good;
  file_.tensors["layer9.weight"] = torch::ones({2});
  expect("1 tensor differs", "'layer9.weight' is not in the model");
}

TEST_F(Weights, SayTheirModelAndNormalisation) {
  file_.metadata = {{"model", "resnet18"}, {"mean", "[0.1, 0.2, 0.3]"}, {"stddev", "[1, 2, 3.5]"}};
  Classifier model = fresh(options(), 5);
  const auto normalisation = PretrainedWeights(write()).load_into(model, options());
  ASSERT_TRUE(normalisation);
  EXPECT_EQ(normalisation->mean, (std::vector<float>{0.1f, 0.2f, 0.3f}));
  EXPECT_EQ(normalisation->stddev, (std::vector<float>{1.0f, 2.0f, 3.5f}));
  file_.metadata["model"] = "resnet50";
  EXPECT_NE(refusal(options()).find("are of model 'resnet50', not of 'resnet18'"), std::string::npos);
  file_.metadata["model"] = "resnet18";
  for (const char* damaged : {"", "[1, 2, 0]", "[1, 2, \"a\"]", "{", "[]", "[1e999, 1, 1]"}) {
    file_.metadata["stddev"] = damaged;
    EXPECT_NE(refusal(options()).find("'stddev' of the weights"), std::string::npos) << damaged;
  }
}

TEST_F(Weights, OfColourImagesDoNotFitGreyOnes) {
  file_.metadata = {{"model", "resnet18"}, {"mean", "[0.1, 0.2, 0.3]"}, {"stddev", "[1, 2, 3.5]"}};
  ModelOptions grey = options();
  grey.channels = 1;
  const std::string message = refusal(grey);
  for (const char* part : {"are for 3 channels, the data have 1", "RGB", "none"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  file_.metadata["stddev"] = "[1]";
  EXPECT_NE(refusal(options()).find("have 3 means and 1 deviations"), std::string::npos);
}

TEST(StoredWeights, AreFoundWhereTheEnvironmentSays) {
  const TemporaryFolder folder;
  ::setenv("ULMUS_CACHE", folder.path().c_str(), 1);
  EXPECT_FALSE(stored_weights("efficientnet-lite0"));
  write_file(folder.path() / "efficientnet-lite0.safetensors",
             encode_safetensors({.tensors = {{"a", torch::ones({1})}}, .metadata = {{"image_size", "224"}}}));
  ASSERT_TRUE(stored_weights("efficientnet-lite0"));
  EXPECT_EQ(weights_fact(*stored_weights("efficientnet-lite0"), "image_size"), "224");
  EXPECT_EQ(weights_fact(*stored_weights("efficientnet-lite0"), "licence"), "");
  ::unsetenv("ULMUS_CACHE");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(weights_folder(), "/x/ulmus");
  ::unsetenv("XDG_CACHE_HOME");
}

TEST_F(Weights, OfARunBringItsNormalisationAndNoTrainingState) {
  const ModelOptions grey{.name = "conv3", .channels = 1, .height = 12, .width = 12, .classes = 2};
  Classifier first = fresh(grey), second = fresh(grey, 9);
  torch::optim::SGD optimizer(first->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  first->forward(torch::randn({4, 1, 12, 12})).square().sum().backward();
  optimizer.step();
  save_checkpoint(path_,
                  {.loss = "ce",
                   .epochs_done = 1,
                   .epochs = 3,
                   .model = grey,
                   .normalisation = {.mean = {0.25f}, .stddev = {0.5f}},
                   .class_names = {"a", "b"},
                   .loss_state = {1, 2}},
                  first, &optimizer);
  const auto normalisation = PretrainedWeights(path_).load_into(second, grey);
  ASSERT_TRUE(normalisation);
  EXPECT_EQ(normalisation->stddev, std::vector<float>{0.5f});
  const auto images = torch::randn({3, 1, 12, 12});
  EXPECT_TRUE(torch::equal(first->forward(images), second->forward(images)));
}

TEST(Placement, ComputesTheSameFeaturesWithinItsPrecision) {
  const ModelOptions options{.name = "resnet20", .classes = 3};
  Classifier model = make_model(options);
  initialise(model, 1);
  model->eval();
  const auto images = torch::randn({4, 3, 32, 32});
  const auto expected = compute_features(model, images, {});
  const auto bf16 = compute_features(model, images, {.bf16 = true});
  EXPECT_EQ(bf16.scalar_type(), torch::kFloat);
  EXPECT_FALSE(torch::equal(bf16, expected));
  EXPECT_TRUE(torch::allclose(bf16, expected, 0.1, 0.1 * expected.abs().max().item<double>()));
  EXPECT_TRUE(torch::equal(compute_features(model, images, {}), expected)) << "nothing of autocast stays";
  const Placement channels_last{.channels_last = true};
  place(model, channels_last);
  EXPECT_TRUE(model->named_parameters()["layer1.0.conv1.weight"].is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::allclose(compute_features(model, images, channels_last), expected, 1e-3, 1e-4));
}

TEST(Placement, ADeviceThatIsNotThereIsAnEnvironmentError) {
  RunOptions options;
  options.device = "cuda:99";
  try {
    make_placement(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    EXPECT_NE(std::string(error.what()).find("cpu"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace ulmus::detail
