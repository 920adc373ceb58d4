#include "train/checkpoint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "temporary_folder.hpp"
#include "train/optimizer.hpp"
#include "train/safetensors.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::detail {
namespace {

const ModelOptions k_model{
    .name = "conv3", .channels = 1, .height = 12, .width = 12, .classes = 4, .head = Head::cosine};

/// A model and its state after a few steps.
struct Trained {
  Classifier model = make_model(k_model);
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  std::unique_ptr<WeightAverage> average;

  explicit Trained(int steps, const std::string& name = "sgd") {
    initialise(model, 1);
    RunOptions options;
    options.optimizer = name;
    options.lr = 0.1;
    options.weight_decay = 1e-3;
    optimizer = make_optimizer(*model, options, {});
    average = std::make_unique<WeightAverage>(model, 0.5);
    for (int i = 0; i < steps; ++i) step(i);
  }
  void step(int i) {
    torch::manual_seed(static_cast<std::uint64_t>(i));
    optimizer->zero_grad();
    model->train();
    model->forward(torch::randn({8, 1, 12, 12})).square().sum().backward();
    optimizer->step();
    average->update(i);
  }
  std::vector<torch::Tensor> tensors() const {
    std::vector<torch::Tensor> all;
    for (const auto& t : model->parameters()) all.push_back(t.detach().clone());
    for (const auto& t : model->buffers()) all.push_back(t.clone());
    return all;
  }
};

bool equal(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return torch::equal(x, y); });
}

const CheckpointInfo k_info{.loss = "elm",
                            .seed = 7,
                            .epochs_done = 3,
                            .epochs = 9,
                            .seconds = 1.5,
                            .model = k_model,
                            .normalisation = {.mean = {0.25f}, .stddev = {0.5f}},
                            .class_names = {"a", "b", "c", "\u00e9\"d"}};

TEST(Checkpoint, GoesOnBitForBit) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  for (const char* name : {"sgd", "adamw"}) {
    Trained straight(5, name);
    Trained first(3, name);
    save_checkpoint(path, k_info, first.model, first.optimizer.get(), first.average.get());
    Trained resumed(0, name);
    load_checkpoint(SafetensorsFile(path), resumed.model, resumed.optimizer.get(), resumed.average.get());
    EXPECT_TRUE(equal(resumed.tensors(), first.tensors()));
    for (const int i : {3, 4}) resumed.step(i);
    EXPECT_TRUE(equal(resumed.tensors(), straight.tensors())) << name;
    for (const auto& [key, tensor] : straight.average->tensors())
      EXPECT_TRUE(torch::equal(tensor, resumed.average->tensors().at(key))) << name << " " << key;
  }
}

TEST(Checkpoint, IsOfOneFileThoughAnotherTakesItsPlace) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const Trained first(2), second(4);
  Trained read(0);
  CheckpointInfo later = k_info;
  later.epochs_done = 4;
  save_checkpoint(path, k_info, first.model, first.optimizer.get());
  const SafetensorsFile file(path);
  save_checkpoint(path, later, second.model, second.optimizer.get());
  EXPECT_EQ(read_checkpoint_info(file).epochs_done, k_info.epochs_done);
  load_checkpoint(file, read.model, read.optimizer.get());
  EXPECT_TRUE(equal(read.tensors(), first.tensors()));
  EXPECT_EQ(read_checkpoint_info(SafetensorsFile(path)).epochs_done, 4);
}

TEST(Checkpoint, TheStateOfTheOptimizerMatters) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  for (const char* name : {"sgd", "adamw"}) {
    Trained straight(5, name), first(3, name), forgetful(0, name);
    save_checkpoint(path, k_info, first.model, nullptr);
    load_checkpoint(SafetensorsFile(path), forgetful.model, forgetful.optimizer.get());
    for (const int i : {3, 4}) forgetful.step(i);
    EXPECT_FALSE(equal(forgetful.tensors(), straight.tensors())) << name;
  }
}

TEST(Checkpoint, HoldsTheAverageInPlaceOfTheWeights) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  Trained trained(3), judged(0);
  for (torch::optim::Optimizer* optimizer : {trained.optimizer.get(), static_cast<torch::optim::Optimizer*>(nullptr)}) {
    save_checkpoint(path, k_info, trained.model, optimizer, trained.average.get());
    load_checkpoint(SafetensorsFile(path), judged.model, nullptr);
    visit_tensors(*judged.model, [&](const std::string& name, const torch::Tensor& tensor) {
      EXPECT_TRUE(torch::equal(tensor, trained.average->tensors().at(name))) << name;
    });
  }
}

TEST(WeightAverage, IsItsFormula) {
  Trained trained(0);
  const auto weight = [&] { return trained.model->named_parameters()["conv1.weight"].detach().clone(); };
  const auto average = [&] { return trained.average->tensors().at("conv1.weight"); };
  torch::Tensor expected = weight();
  for (int i = 0; i < 30; ++i) {
    trained.step(i);
    const double decay = std::min(0.5, (1.0 + i) / (10.0 + i));
    expected = decay * expected + (1 - decay) * weight();
  }
  EXPECT_TRUE(torch::allclose(average(), expected, 1e-5, 1e-6));
  const torch::Tensor raw = weight(), averaged = average().clone();
  {
    const AveragedWeights guard(trained.average.get());
    EXPECT_TRUE(torch::equal(weight(), averaged));
  }
  EXPECT_TRUE(torch::equal(weight(), raw));
  EXPECT_TRUE(torch::equal(average(), averaged));
}

TEST(Forget, OneParameterBeginsAnewAndTheOthersGoOn) {
  for (const char* name : {"sgd", "adamw"}) {
    Trained forgetful(3, name), other(3, name), anew(3, name);
    const auto head = [](Trained& trained) { return trained.model->head_inputs({}).weight; };
    const auto first = [](Trained& trained) { return trained.model->parameters()[0]; };
    forget(*forgetful.optimizer, head(forgetful));
    anew.optimizer = Trained(0, name).optimizer;
    anew.optimizer->param_groups()[0].params() = anew.model->parameters();
    for (Trained* trained : {&forgetful, &other, &anew}) trained->step(3);
    EXPECT_TRUE(torch::equal(head(forgetful), head(anew))) << name;
    EXPECT_FALSE(torch::equal(head(forgetful), head(other))) << name;
    EXPECT_TRUE(torch::equal(first(forgetful), first(other))) << name;
    EXPECT_FALSE(torch::equal(first(forgetful), first(anew))) << name;
  }
}

TEST(ClipGradients, ShortensLongOnesAlone) {
  Trained trained(1);
  const auto norm = [&] {
    double squares = 0;
    for (const auto& parameter : trained.model->parameters()) squares += parameter.grad().square().sum().item<double>();
    return std::sqrt(squares);
  };
  const double before = norm();
  clip_gradients(*trained.optimizer, 2 * before);
  EXPECT_NEAR(norm(), before, 1e-5 * before);
  clip_gradients(*trained.optimizer, before / 4);
  EXPECT_NEAR(norm(), before / 4, 1e-4 * before);
}

TEST(Checkpoint, RemembersWhatItIs) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  Trained trained(1);
  save_checkpoint(path, k_info, trained.model, nullptr);
  const CheckpointInfo info = read_checkpoint_info(SafetensorsFile(path));
  EXPECT_EQ(info.loss, "elm");
  EXPECT_EQ(info.seed, 7u);
  EXPECT_EQ(info.epochs_done, 3);
  EXPECT_EQ(info.epochs, 9);
  EXPECT_EQ(info.model.head, Head::cosine);
  EXPECT_EQ(info.model.height, 12);
  EXPECT_EQ(info.normalisation.stddev, k_info.normalisation.stddev);
  EXPECT_EQ(info.class_names, k_info.class_names);
}

TEST(Checkpoint, RefusesAnotherModel) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  Trained trained(0);
  save_checkpoint(path, k_info, trained.model, nullptr);
  Classifier wider =
      make_model({.name = "conv3", .channels = 1, .height = 12, .width = 12, .classes = 5, .head = Head::cosine});
  EXPECT_THROW(load_checkpoint(SafetensorsFile(path), wider, nullptr), Error);
  Classifier other = make_model({.name = "resnet20", .channels = 1, .height = 12, .width = 12, .classes = 4});
  EXPECT_THROW(load_checkpoint(SafetensorsFile(path), other, nullptr), Error);
}

/// A safetensors file with this header and `size` bytes of data.
std::string file_with(const std::string& header, std::size_t size) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(size, '\0');
}

TEST(Safetensors, HoldsTensorsOfEveryKindAndShape) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "t.safetensors";
  TensorFile file;
  file.tensors["scalar"] = torch::tensor(std::int64_t{5});
  file.tensors["empty"] = torch::empty({0, 3});
  file.tensors["matrix"] = torch::randn({3, 4}, torch::kDouble);
  file.metadata["note"] = "\u00e4\n\"";
  write_file(path, encode_safetensors(file));
  const TensorFile back = read_tensors(SafetensorsFile(path));
  EXPECT_EQ(back.metadata, file.metadata);
  ASSERT_EQ(back.tensors.size(), 3u);
  for (const auto& [name, tensor] : file.tensors) EXPECT_TRUE(torch::equal(back.tensors.at(name), tensor)) << name;
}

TEST(Safetensors, RefusesEveryAttack) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "bad.safetensors";
  TensorFile good;
  good.tensors["a"] = torch::ones({2});
  const std::string whole = encode_safetensors(good);
  std::string huge(8, '\xff');
  const std::string files[] = {
      "",
      "1234567",
      huge + "{}",
      whole.substr(0, whole.size() - 1),
      whole + "x",
      file_with("[]", 0),
      file_with("{", 0),
      file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})", 8),
      file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
      file_with(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
      file_with(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", 8),
      file_with(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
      file_with(R"({"a":{"dtype":"PICKLE","shape":[2],"data_offsets":[0,8]}})", 8),
      file_with(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8),
      file_with(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          8),
      file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8)};
  for (const std::string& bytes : files) {
    write_file(path, bytes);
    EXPECT_THROW(read_tensors(SafetensorsFile(path)), Error) << bytes.substr(0, 120);
  }
  write_file(path, whole);
  EXPECT_NO_THROW(read_tensors(SafetensorsFile(path)));
}

/// A valid checkpoint of which one metadata entry at a time is changed.
class CraftedCheckpoint : public ::testing::Test {
 protected:
  CraftedCheckpoint() {
    save_checkpoint(path_, k_info, Trained(1).model, nullptr);
    sound_ = read_tensors(SafetensorsFile(path_));
  }

  /// The error from reading the checkpoint after `change` is applied to its metadata.
  template <class Change>
  std::string refusal(Change change) const {
    TensorFile file = sound_;
    nlohmann::json info = nlohmann::json::parse(file.metadata.at("ulmus"));
    change(info);
    file.metadata["ulmus"] = info.dump();
    write_file(path_, encode_safetensors(file));
    try {
      read_checkpoint_info(SafetensorsFile(path_));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
      const std::string text = error.what();
      EXPECT_EQ(std::ranges::count_if(text, [](unsigned char c) { return c < 0x20; }), 0) << text;
      EXPECT_LT(text.size(), 1500u);
      return text;
    }
    return "nothing";
  }
  std::string refusal_of(const char* key, const nlohmann::json& value) const {
    return refusal([&](nlohmann::json& info) { info[key] = value; });
  }

  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "model.safetensors";
  TensorFile sound_;
};

TEST_F(CraftedCheckpoint, IsSoundBeforeItIsChanged) {
  EXPECT_EQ(refusal([](nlohmann::json&) {}), "nothing");
}

TEST_F(CraftedCheckpoint, SizesThatTheTensorsCannotHaveAreData) {
  for (const char* key : {"channels", "height", "width", "classes"})
    for (const nlohmann::json& value : {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(std::int64_t{1} << 62),
                                        nlohmann::json(1.5), nlohmann::json("3"), nlohmann::json()})
      EXPECT_NE(refusal_of(key, value), "nothing") << key << " " << value;
  EXPECT_NE(refusal([](nlohmann::json& info) {
              info["channels"] = 60'000'000;
              info["height"] = info["width"] = 1;
            }).find("has at least"),
            std::string::npos);
  EXPECT_NE(refusal_of("model", "mlp:layers=64,width=65536").find("has at least"), std::string::npos);
  EXPECT_NE(refusal([](nlohmann::json& info) { info["height"] = info["width"] = 1 << 14; }).find("at most"),
            std::string::npos);
}

TEST_F(CraftedCheckpoint, WordsThatMeanNothingAreData) {
  for (const char* model : {"", "conv4", "conv3:x", "mlp:width=0", "mlp:width=1e9", "mlp:x=1", "\x1b[31mred\n"})
    EXPECT_NE(refusal_of("model", model), "nothing") << model;
  EXPECT_NE(refusal_of("head", "sphere").find("unknown head"), std::string::npos);
  EXPECT_NE(refusal_of("loss", "nonsense\n\x1b[31m"), "nothing");
  EXPECT_NE(refusal_of("chosen", "0.5").find("no key that is chosen"), std::string::npos);
  EXPECT_NE(refusal_of("backbone_sha256", "0123").find("holds only a head"), std::string::npos);
  EXPECT_NE(refusal([](nlohmann::json& info) {
              info["loss"] = "elm:lambda=auto";
              info["chosen"] = "half";
            }),
            "nothing");
}

TEST_F(CraftedCheckpoint, ListsAndNumbersOutOfRangeAreData) {
  EXPECT_NE(refusal_of("class_names", {"a", "b", "c"}), "nothing");
  EXPECT_NE(refusal_of("class_names", {"a", "b", "c", "c"}).find("two classes 'c'"), std::string::npos);
  EXPECT_NE(refusal_of("class_names", {"\x1b]0;x\x07", "b", "c", "\x1b]0;x\x07"}).find("\\x1b]0;x\\x07"),
            std::string::npos);
  EXPECT_NE(refusal_of("class_names", {1, 2, 3, 4}), "nothing");
  EXPECT_NE(refusal_of("mean", {0.5, 0.5}), "nothing");
  EXPECT_NE(refusal_of("mean", {1e300}), "nothing");
  EXPECT_NE(refusal_of("stddev", {0}), "nothing");
  EXPECT_NE(refusal_of("stddev", {-1}), "nothing");
  EXPECT_NE(refusal_of("epochs_done", 10), "nothing");
  EXPECT_NE(refusal_of("epochs_done", 0), "nothing");
  EXPECT_NE(refusal_of("seed", -1), "nothing");
  EXPECT_NE(refusal_of("seconds", -1), "nothing");
  EXPECT_NE(refusal_of("seconds", std::string(1'000'000, '\n')), "nothing") << "is cut in the message";
}

TEST_F(CraftedCheckpoint, WeightsThatAreNoNumbersAreNamed) {
  Trained trained(1);
  EXPECT_NO_THROW(require_finite(path_, trained.model));
  for (const float bad : {std::nanf(""), INFINITY}) {
    const torch::NoGradGuard no_gradient;
    trained.model->named_parameters()["fc.weight"][0][0] = bad;
    try {
      require_finite(path_, trained.model);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::numerical);
      EXPECT_NE(std::string(error.what()).find("'fc.weight'"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace ulmus::detail
