#include <gtest/gtest.h>
#include <torch/script.h>

#include <fstream>

#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/nn/model.hpp"
#include "ulmus/nn/script_facts.hpp"

namespace ulmus {
namespace {

class TorchScript : public ::testing::Test {
 protected:
  /// A module with `weight` [5, 12], a norm in `inner` and this body of forward(x).
  std::string save(const std::string& body) const {
    torch::jit::Module inner("Inner");
    inner.register_parameter("scale", torch::full({5}, 2.0f), false);
    inner.register_buffer("shift", torch::ones({5}));
    inner.register_attribute("training", c10::BoolType::get(), true);
    inner.define("def forward(self, x):\n  return x * self.scale + (self.shift if self.training else -self.shift)\n");
    torch::jit::Module module("Backbone");
    torch::manual_seed(1);
    module.register_parameter("weight", torch::randn({5, 12}), false);
    module.register_module("inner", inner);
    module.register_attribute("training", c10::BoolType::get(), true);
    module.define("def forward(self, x):\n  " + body + "\n");
    const std::string path = (folder_.path() / "backbone.pt").string();
    module.save(path);
    return path;
  }
  std::string save_backbone() const {
    return save("return self.inner.forward(torch.matmul(x.flatten(1), self.weight.t()))");
  }

  static Classifier make(const std::string& path) {
    return make_model(
        {.name = "torchscript:" + path, .channels = 3, .height = 2, .width = 2, .classes = 4, .script = path});
  }

  std::string refusal(const std::string& path) const {
    try {
      make(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return error.what();
    }
    return "nothing";
  }

  const TemporaryFolder folder_;
};

TEST_F(TorchScript, GivesItsFeaturesToAHeadOfTheirWidth) {
  auto model = make(save_backbone());
  initialise(model, 3);
  const auto images = torch::randn({6, 3, 2, 2});
  const auto parameters = model->named_parameters();
  const auto weight = parameters["backbone.weight"];
  EXPECT_EQ(parameters["fc.weight"].sizes(), (torch::IntArrayRef{4, 5}));
  EXPECT_TRUE(model->named_buffers().contains("backbone.inner.shift"));
  const auto product = images.flatten(1).matmul(weight.t()) * 2;
  EXPECT_TRUE(torch::allclose(model->features(images), product + 1));
  model->eval();
  EXPECT_TRUE(torch::allclose(model->features(images), product - 1));
}

TEST_F(TorchScript, KeepsTheWeightsOfItsFileAndTrainsThem) {
  const std::string path = save_backbone();
  auto model = make(path), untouched = make(path);
  initialise(model, 3);
  const auto weight = model->named_parameters()["backbone.weight"];
  EXPECT_TRUE(torch::equal(weight, untouched->named_parameters()["backbone.weight"]));
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  const auto images = torch::randn({6, 3, 2, 2});
  const auto before = model->features(images).detach();
  model->forward(images).square().sum().backward();
  optimizer.step();
  EXPECT_FALSE(torch::equal(weight, untouched->named_parameters()["backbone.weight"]));
  EXPECT_FALSE(torch::equal(model->features(images), before)) << "the module must see what is trained";
  EXPECT_EQ(backbone_parameters(*model).size(), 2u);
}

TEST_F(TorchScript, TakesFeaturesAsVectors) {
  const std::string path = save("return torch.matmul(x, self.weight.t())");
  auto model = make_model(
      {.name = "torchscript:" + path, .channels = 12, .height = 1, .width = 1, .classes = 4, .script = path});
  EXPECT_EQ(model->forward(torch::randn({3, 12, 1, 1})).sizes(), (torch::IntArrayRef{3, 4}));
  EXPECT_EQ(model->forward(torch::randn({3, 12})).sizes(), (torch::IntArrayRef{3, 4}));
}

TEST_F(TorchScript, ANameAloneOpensNoFile) {
  const std::string path = save_backbone();
  try {
    make_model({.name = "torchscript:" + path, .channels = 3, .height = 2, .width = 2, .classes = 4});
    FAIL() << "the file was loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("script=FILE"), std::string::npos) << error.what();
  }
}

TEST_F(TorchScript, AFileOfAnotherHashIsRefused) {
  const std::string path = save_backbone();
  ModelOptions options{.name = "torchscript:b", .channels = 3, .height = 2, .width = 2, .classes = 4, .script = path};
  options.script_sha256 = make_model(options)->script_sha256();
  EXPECT_EQ(options.script_sha256.size(), 64u);
  EXPECT_NO_THROW(make_model(options));
  options.script_sha256[0] = options.script_sha256[0] == 'a' ? 'b' : 'a';
  EXPECT_THROW(make_model(options), Error);
}

TEST_F(TorchScript, WhatIsNoBackboneIsRefusedInOneLine) {
  EXPECT_NE(refusal("/nowhere/b.pt").find("no such file"), std::string::npos);
  const std::string text = (folder_.path() / "text.pt").string();
  std::ofstream(text) << "not a module";
  EXPECT_NE(refusal(text).find("not a TorchScript module"), std::string::npos) << refusal(text);
  EXPECT_NE(refusal(save("return x")).find("Float [2, 3, 2, 2] of 2 images"), std::string::npos);
  EXPECT_NE(refusal(save("return x.flatten(1).argmax(1)")).find("Long [2]"), std::string::npos);
  EXPECT_NE(refusal(save("return (x, x)")).find("fails on images of 3x2x2"), std::string::npos);
  EXPECT_NE(refusal(save("return torch.matmul(x, self.weight)")).find("fails on images of 3x2x2"), std::string::npos);
}

std::string save_with_facts(const std::filesystem::path& path, const std::string& facts) {
  torch::jit::Module module("Backbone");
  module.define("def forward(self, x):\n  return x.flatten(1)\n");
  module.save(path.string(), {{"ulmus.json", facts}});
  return path.string();
}

TEST(ScriptFacts, AreReadFromTheFile) {
  const TemporaryFolder folder;
  const auto facts = read_script_facts(
      save_with_facts(folder.path() / "a.pt", R"({"name":"small","image_size":64,"mean":[0.5],"stddev":[0.25]})"));
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->name, "small");
  EXPECT_EQ(facts->image_size, 64);
  EXPECT_EQ(facts->mean, std::vector<float>{0.5f});
  EXPECT_EQ(facts->stddev, std::vector<float>{0.25f});
}

TEST(ScriptFacts, MayBeMissing) {
  const TemporaryFolder folder;
  torch::jit::Module module("Backbone");
  module.save((folder.path() / "b.pt").string());
  EXPECT_FALSE(read_script_facts(folder.path() / "b.pt").has_value());
  EXPECT_FALSE(read_script_facts(folder.path() / "none.pt").has_value());
  std::ofstream(folder.path() / "text.pt") << "no archive";
  EXPECT_FALSE(read_script_facts(folder.path() / "text.pt").has_value());
}

TEST(ScriptFacts, ThatMakeNoSenseAreRefused) {
  const TemporaryFolder folder;
  for (const char* facts :
       {"{", R"({"name":"a","image_size":64,"mean":[0.5]})", R"({"name":"a","image_size":0,"mean":[0],"stddev":[1]})",
        R"({"name":"a","image_size":64,"mean":[0,0],"stddev":[1]})",
        R"({"name":"a","image_size":64,"mean":[0],"stddev":[0]})",
        R"({"name":"a","image_size":64.5,"mean":[0],"stddev":[1]})"}) {
    try {
      read_script_facts(save_with_facts(folder.path() / "c.pt", facts));
      ADD_FAILURE() << facts;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find("ulmus.backbones"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace ulmus
