#include "train/frozen_features.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>

#include "temporary_folder.hpp"
#include "train/head_fit.hpp"
#include "train/safetensors.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// Grey images that count reads.
class CountedImages : public ImageSource {
 public:
  void read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    ++reads;
    for (std::size_t p = 0; p < pixels.size(); ++p)
      pixels[p] = static_cast<std::uint8_t>((static_cast<std::size_t>(index) * 37 + p * 11) % 256);
  }
  mutable int reads = 0;
};

/// Twelve images and a small network.
class FrozenFeatures : public ::testing::Test {
 protected:
  FrozenFeatures() { initialise(model_, 3); }

  Dataset data(const std::string& sha256 = "0") const {
    return Dataset({.name = "twelve",
                    .class_names = {"a", "b", "c"},
                    .shape = {.channels = 1, .height = 12, .width = 12},
                    .labels = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2},
                    .sha256 = sha256,
                    .notes = {}},
                   std::shared_ptr<const ImageSource>(images_));
  }

  FeatureOptions options(const char* run = "run") const {
    return {.folder = folder_.path() / run / "features",
            .normalisation = {.mean = {0.4f}, .stddev = {0.2f}},
            .loader_threads = 0};
  }

  std::vector<float> row(const Dataset& features, std::int64_t index) const {
    std::vector<float> values(static_cast<std::size_t>(features.shape().channels));
    features.read_features(index, values);
    return values;
  }

  std::vector<fs::path> files(const char* run = "run") const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(options(run).folder)) found.push_back(entry.path());
    return found;
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<CountedImages> images_ = std::make_shared<CountedImages>();
  Dataset data_ = data();
  Classifier model_ = make_model({.name = "conv3", .channels = 1, .height = 12, .width = 12, .classes = 3});
};

TEST_F(FrozenFeatures, AreThoseOfTheModelAndComputedOnce) {
  const std::vector<std::int64_t> some = {7, 2, 9, 2}, more = {2, 3};
  const Dataset features = with_features(model_, data_, some, options());
  EXPECT_EQ(images_->reads, 3);
  EXPECT_EQ(features.labels(), data_.labels());
  EXPECT_TRUE(features.is_features());
  const FeatureSet expected = extract_features(model_, data_, some, options().normalisation, 0, {});
  images_->reads = 0;
  for (std::size_t i = 0; i < some.size(); ++i) {
    const std::vector<float> values = row(features, some[i]), wanted = row(expected.data, static_cast<std::int64_t>(i));
    for (std::size_t d = 0; d < values.size(); ++d) EXPECT_NEAR(values[d], wanted[d], 1e-5);
  }
  EXPECT_THROW(row(features, 0), Error);
  const Dataset again = with_features(model_, data_, more, options());
  EXPECT_EQ(images_->reads, 1);  // sample 3
  EXPECT_EQ(row(again, 2), row(features, 2));
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(FrozenFeatures, OfOtherWeightsDataOrNormalisationAreOthers) {
  const std::string origin = features_origin(model_, data_, options());
  FeatureOptions other = options();
  other.normalisation.mean = {0.5f};
  EXPECT_NE(features_origin(model_, data_, other), origin);
  EXPECT_NE(features_origin(model_, data("1"), options()), origin);
  const torch::NoGradGuard no_gradient;
  model_->head_inputs({}).weight.add_(1);
  EXPECT_EQ(features_origin(model_, data_, options()), origin);
  backbone_parameters(*model_)[0].view(-1)[0].add_(1e-6);
  EXPECT_NE(features_origin(model_, data_, options()), origin);
}

TEST_F(FrozenFeatures, OfAViewAreThoseOfTheImagesThatATrainingWouldMake) {
  FeatureOptions of_view = options();
  of_view.view = {.augmentation = Augmentation::parse("crop:2+flip", data_.shape()), .seed = 7, .number = 3};
  const Dataset view = with_features(model_, data_, all_indices(data_), of_view);
  Loader training(data_, all_indices(data_),
                  {.batch_size = 12,
                   .augmentation = of_view.view.augmentation,
                   .normalisation = of_view.normalisation,
                   .seed = 7,
                   .threads = 0});
  training.start(3);
  Batch batch;
  ASSERT_TRUE(training.next(batch));
  const torch::NoGradGuard no_gradient;
  const torch::Tensor expected = compute_features(model_, images_of(batch, data_.shape()), {});
  for (std::int64_t i = 0; i < 12; ++i) {
    const std::vector<float> values = row(view, i);
    EXPECT_TRUE(torch::allclose(torch::tensor(values), expected[i], 1e-4, 1e-5)) << i;
  }
  // One after the other, by other threads: the same.
  FeatureOptions elsewhere = of_view;
  elsewhere.folder = options("other").folder;
  elsewhere.loader_threads = 3;
  const std::vector<std::int64_t> some = {9, 4};
  const Dataset two = with_features(model_, data_, some, elsewhere);
  for (const std::int64_t i : some)
    EXPECT_TRUE(torch::allclose(torch::tensor(row(two, i)), expected[i], 1e-4, 1e-5)) << i;
}

TEST_F(FrozenFeatures, OfAnotherViewSeedOrAugmentationAreOthers) {
  FeatureOptions of_view = options();
  std::set<std::string> origins = {features_origin(model_, data_, of_view)};
  const auto add = [&](const char* augmentation, std::uint64_t seed, std::int64_t number) {
    of_view.view = {.augmentation = Augmentation::parse(augmentation, data_.shape()), .seed = seed, .number = number};
    return origins.insert(features_origin(model_, data_, of_view)).second;
  };
  EXPECT_TRUE(add("crop", 0, 0));
  EXPECT_TRUE(add("crop", 0, 1));
  EXPECT_TRUE(add("crop", 1, 0));
  EXPECT_TRUE(add("crop:2", 0, 0));
  EXPECT_FALSE(add("none", 1, 1)) << "images as they are";
}

TEST_F(FrozenFeatures, AsFloat16AreHalfAsLargeAndClose) {
  FeatureOptions half = options("half");
  half.half = true;
  EXPECT_NE(features_origin(model_, data_, half), features_origin(model_, data_, options()));
  const Dataset full = with_features(model_, data_, all_indices(data_), options());
  const Dataset stored = with_features(model_, data_, all_indices(data_), half);
  EXPECT_EQ(2 * stored.bytes_on_disk(), full.bytes_on_disk());
  for (std::int64_t i = 0; i < data_.size(); ++i) {
    const std::vector<float> exact = row(full, i), rounded = row(stored, i);
    for (std::size_t d = 0; d < exact.size(); ++d)
      EXPECT_LE(std::abs(rounded[d] - exact[d]), std::ldexp(std::abs(exact[d]), -11) + 0x1p-25) << i << " " << d;
  }
  images_->reads = 0;
  with_features(model_, data_, all_indices(data_), half);
  EXPECT_EQ(images_->reads, 0);
}

TEST_F(FrozenFeatures, BeyondTheRangeOfFloat16NameTheSample) {
  const torch::NoGradGuard no_gradient;
  FeatureOptions half = options();
  half.half = true;
  model_->named_parameters()["bn3.bias"].fill_(1e5);
  const std::vector<std::int64_t> some = {4};
  try {
    with_features(model_, data_, some, half);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    for (const char* part : {"sample 4 of 'twelve'", "beyond the range of float16", "f32"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST_F(FrozenFeatures, OfARunBesideAreTakenOver) {
  const std::vector<std::int64_t> some = {1, 5};
  with_features(model_, data_, some, options("first"));
  images_->reads = 0;
  FeatureOptions second = options("second");
  second.others = feature_folders_beside(folder_.path() / "second");
  EXPECT_EQ(second.others, std::vector{options("first").folder});
  with_features(model_, data_, some, second);
  EXPECT_EQ(images_->reads, 0);
  EXPECT_EQ(files("second").size(), 1u);
}

TEST_F(FrozenFeatures, ThatAreInterruptedKeepWhatIsDone) {
  const std::vector<std::int64_t> some = {1, 5};
  FeatureOptions stopped = options();
  stopped.stop = [] { return true; };
  EXPECT_THROW(with_features(model_, data_, some, stopped), Error);
  images_->reads = 0;
  EXPECT_EQ(row(with_features(model_, data_, some, options()), 5).size(), 64u);
  EXPECT_EQ(images_->reads, 0);
}

TEST_F(FrozenFeatures, ThatAreDamagedAreNamed) {
  const std::vector<std::int64_t> some = {1, 5};
  with_features(model_, data_, some, options());
  const fs::path file = files().at(0);
  const std::string origin = features_origin(model_, data_, options());
  const std::int64_t width = model_->head_inputs({}).weight.size(1);
  const auto refusal = [&](const TensorFile& damaged) -> std::string {
    write_file(file, encode_safetensors(damaged));
    try {
      row(with_features(model_, data_, some, options()), 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos);
      return error.what();
    }
    return "nothing";
  };
  const auto features = torch::ones({2, width}), indices = torch::tensor({1, 5}, torch::kInt64);
  const std::map<std::string, std::string> ours = {{k_features_origin, origin}};
  EXPECT_EQ(refusal({.tensors = {{"features", features}, {"indices", indices}}, .metadata = ours}), "nothing");
  EXPECT_NE(refusal({.tensors = {{"features", features}, {"indices", indices}}, .metadata = {}}).find("other data"),
            std::string::npos);
  EXPECT_NE(refusal({.tensors = {{"features", features}}, .metadata = ours}).find("indices"), std::string::npos);
  for (const auto& wrong : {std::vector<std::int64_t>{5, 1}, {1, 1}, {-1, 1}, {1, 12}})
    EXPECT_NE(refusal({.tensors = {{"features", features}, {"indices", torch::tensor(wrong, torch::kInt64)}},
                       .metadata = ours})
                  .find("ascending"),
              std::string::npos);
  EXPECT_NE(refusal({.tensors = {{"features", features.mul(NAN)}, {"indices", indices}}, .metadata = ours})
                .find("not a number"),
            std::string::npos);
}

TEST_F(FrozenFeatures, ThatAreNoNumbersNameTheSample) {
  const torch::NoGradGuard no_gradient;
  for (torch::Tensor& parameter : backbone_parameters(*model_)) parameter.fill_(NAN);
  const std::vector<std::int64_t> some = {4};
  try {
    with_features(model_, data_, some, options());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    EXPECT_NE(std::string(error.what()).find("sample 4 of 'twelve'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace ulmus::detail
