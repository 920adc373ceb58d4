#include "ulmus/nn/model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "golden.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/nn/cosine_linear.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

torch::Tensor matrix(const json& rows) {
  std::vector<double> values;
  for (const json& row : rows)
    for (const json& value : row) values.push_back(value.get<double>());
  return torch::tensor(values, torch::kDouble).reshape({static_cast<std::int64_t>(rows.size()), -1});
}

TEST(CosineLinear, AgreesWithThePublishedVectors) {
  int compared = 0;
  for (const json& entry : golden::cases("normed_linear")) {
    if (entry.value("ambiguous", false)) continue;
    SCOPED_TRACE(entry["id"].get<std::string>());
    const auto weight = matrix(entry["weight"]).t().contiguous();
    CosineLinear head(weight.size(1), weight.size(0));
    head->to(torch::kDouble);
    {
      const torch::NoGradGuard guard;
      head->weight.copy_(weight);
    }
    const auto features = matrix(entry["features"]).requires_grad_();
    const auto output = head(features);
    output.backward(matrix(entry["grad_output"]));
    const auto same = [](const torch::Tensor& value, const torch::Tensor& expected) {
      return torch::allclose(value, expected, 1e-10, 1e-10);
    };
    EXPECT_TRUE(same(output, matrix(entry["output"])));
    EXPECT_TRUE(same(features.grad(), matrix(entry["grad_features"])));
    EXPECT_TRUE(same(head->weight.grad().t(), matrix(entry["grad_weight"])));
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(8));
}

TEST(Model, HasThePublishedNumberOfParameters) {
  const auto count = [](const char* name, std::int64_t classes, Head head = Head::linear) {
    return parameter_count(*make_model({.name = name, .classes = classes, .head = head}));
  };
  EXPECT_EQ(count("resnet32", 10), 464154);  // LDAM-DRW protocol, 10 classes
  EXPECT_EQ(count("resnet32", 10, Head::cosine), 464144);
  EXPECT_EQ(count("resnet20", 10), 269722);
  EXPECT_EQ(count("resnet56", 10), 853018);
  EXPECT_EQ(count("resnet18", 1000), 11689512);  // torchvision's table of weights
  EXPECT_EQ(count("resnet50", 1000), 25557032);
  EXPECT_EQ(count("resnext50", 1000), 25028904);
  EXPECT_EQ(count("efficientnet-lite0", 1000), 4652008);  // TensorFlow's table: 4.7, 5.4 and 6.1 million
  EXPECT_EQ(count("efficientnet-lite1", 1000), 5416680);
  EXPECT_EQ(count("efficientnet-lite2", 1000), 6092072);
  EXPECT_EQ(count("wrn28-10", 10), 36479194);  // Zagoruyko and Komodakis: 36.5 million
}

/// Names of all parameters and buffers.
std::set<std::string> names_of(const torch::nn::Module& model) {
  std::set<std::string> names;
  for (const auto& item : model.named_parameters()) names.insert(item.key());
  for (const auto& item : model.named_buffers()) names.insert(item.key());
  return names;
}

/// The keys of torchvision's state_dict, derived from its structure: stages of blocks, with a projection in the first
/// block of a stage unless the shape stays the same.
std::set<std::string> torchvision_names(const std::vector<int>& blocks, int convolutions, bool first_projected) {
  std::set<std::string> names = {"conv1.weight", "fc.weight", "fc.bias"};
  const auto add_norm = [&](const std::string& name) {
    for (const char* part : {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
      names.insert(name + "." + part);
  };
  add_norm("bn1");
  for (std::size_t stage = 0; stage < blocks.size(); ++stage)
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
      for (int i = 1; i <= convolutions; ++i) {
        names.insert(at + "conv" + std::to_string(i) + ".weight");
        add_norm(at + "bn" + std::to_string(i));
      }
      if (block == 0 && (stage > 0 || first_projected)) {
        names.insert(at + "downsample.0.weight");
        add_norm(at + "downsample.1");
      }
    }
  return names;
}

TEST(TorchvisionResNet, HasTorchvisionsNamesAndShapes) {
  const auto model = [](const char* name) { return make_model({.name = name, .classes = 1000}); };
  const auto resnet18 = names_of(*model("resnet18"));
  EXPECT_EQ(resnet18.size(), 122u);  // entries of the published file
  EXPECT_EQ(resnet18, torchvision_names({2, 2, 2, 2}, 2, false));
  const auto resnet50 = names_of(*model("resnet50"));
  EXPECT_EQ(resnet50.size(), 320u);
  EXPECT_EQ(resnet50, torchvision_names({3, 4, 6, 3}, 3, true));
  EXPECT_EQ(names_of(*model("resnext50")), resnet50);

  using Shape = std::vector<std::int64_t>;
  const auto shape = [&](const char* name, const char* parameter) {
    return model(name)->named_parameters()[parameter].sizes().vec();
  };
  EXPECT_EQ(shape("resnet18", "layer4.0.downsample.0.weight"), (Shape{512, 256, 1, 1}));
  EXPECT_EQ(shape("resnet50", "layer1.0.conv1.weight"), (Shape{64, 64, 1, 1}));
  EXPECT_EQ(shape("resnet50", "layer4.0.conv2.weight"), (Shape{512, 512, 3, 3}));
  EXPECT_EQ(shape("resnext50", "layer1.0.conv2.weight"), (Shape{128, 4, 3, 3}));
  EXPECT_EQ(shape("resnext50", "layer4.2.conv3.weight"), (Shape{2048, 1024, 1, 1}));
}

/// The features of torchvision's forward, computed from the parameters; the 3x3 convolution has the stride.
torch::Tensor torchvision_features(const ClassifierImpl& model, torch::Tensor x, const std::vector<int>& blocks,
                                   std::int64_t groups) {
  auto tensors = model.named_parameters();
  tensors.update(model.named_buffers());
  const auto conv = [&](const torch::Tensor& input, const std::string& name, std::int64_t stride) {
    const torch::Tensor weight = tensors[name + ".weight"];
    return torch::conv2d(input, weight, {}, stride, weight.size(2) / 2, 1, input.size(1) / weight.size(1));
  };
  const auto norm = [&](const torch::Tensor& input, const std::string& name) {
    return torch::batch_norm(input, tensors[name + ".weight"], tensors[name + ".bias"], tensors[name + ".running_mean"],
                             tensors[name + ".running_var"], false, 0.1, 1e-5, false);
  };
  x = torch::max_pool2d(norm(conv(x, "conv1", 2), "bn1").relu(), 3, 2, 1);
  for (std::size_t stage = 0; stage < blocks.size(); ++stage)
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
      const std::int64_t stride = block == 0 && stage > 0 ? 2 : 1;
      torch::Tensor y = x;
      if (tensors.contains(at + "conv3.weight")) {
        EXPECT_EQ(tensors[at + "conv2.weight"].size(0) / tensors[at + "conv2.weight"].size(1), groups);
        y = norm(conv(y, at + "conv1", 1), at + "bn1").relu();
        y = norm(conv(y, at + "conv2", stride), at + "bn2").relu();
        y = norm(conv(y, at + "conv3", 1), at + "bn3");
      } else {
        y = norm(conv(y, at + "conv1", stride), at + "bn1").relu();
        y = norm(conv(y, at + "conv2", 1), at + "bn2");
      }
      const bool projected = tensors.contains(at + "downsample.0.weight");
      x = (y + (projected ? norm(conv(x, at + "downsample.0", stride), at + "downsample.1") : x)).relu();
    }
  return x.mean({2, 3});
}

TEST(TorchvisionResNet, ComputesWhatTorchvisionDefines) {
  for (const auto& [name, blocks, groups] :
       {std::tuple("resnet18", std::vector{2, 2, 2, 2}, 1), std::tuple("resnet50", std::vector{3, 4, 6, 3}, 1),
        std::tuple("resnext50", std::vector{3, 4, 6, 3}, 32)}) {
    const torch::NoGradGuard no_gradient;
    auto model = make_model({.name = name, .classes = 3});
    initialise(model, 0);
    for (auto& item : model->named_buffers()) {
      if (item.key().ends_with("running_mean")) item.value().normal_(0, 0.1);
      if (item.key().ends_with("running_var")) item.value().uniform_(0.5, 1.5);
    }
    model->eval();
    const auto images = torch::randn({2, 3, 64, 48});
    const auto expected = torchvision_features(*model, images, blocks, groups);
    EXPECT_TRUE(torch::allclose(model->features(images), expected, 1e-4, 1e-4)) << name;
  }
}

/// The features of EfficientNet-Lite's forward, computed from the parameters, with explicit `SAME` padding of
/// TensorFlow.
torch::Tensor efficientnet_features(const ClassifierImpl& model, torch::Tensor x) {
  auto tensors = model.named_parameters();
  tensors.update(model.named_buffers());
  const auto layer = [&](const torch::Tensor& input, const std::string& conv, const std::string& norm,
                         std::int64_t stride) {
    const torch::Tensor weight = tensors[conv + ".weight"];
    const std::int64_t kernel = weight.size(2);
    std::vector<std::int64_t> padding;  // starts with the last dimension
    for (const int dim : {3, 2}) {
      const std::int64_t size = input.size(dim), last = (size + stride - 1) / stride * stride - stride;
      const std::int64_t all = std::max<std::int64_t>(last + kernel - size, 0);
      padding.insert(padding.end(), {all / 2, (all + 1) / 2});
    }
    const auto output = torch::conv2d(torch::constant_pad_nd(input, padding), weight, {}, stride, at::IntArrayRef{0, 0},
                                      1, input.size(1) / weight.size(1));
    return torch::batch_norm(output, tensors[norm + ".weight"], tensors[norm + ".bias"],
                             tensors[norm + ".running_mean"], tensors[norm + ".running_var"], false, 0.1, 1e-3, false);
  };
  constexpr int strides[] = {1, 2, 2, 2, 1, 2, 1};
  x = layer(x, "conv_stem", "bn1", 2).clamp(0, 6);
  for (int stage = 0; stage < 7; ++stage)
    for (int block = 0;; ++block) {
      const std::string at = "blocks." + std::to_string(stage) + "." + std::to_string(block) + ".";
      if (!tensors.contains(at + "conv_dw.weight")) break;
      const int stride = block == 0 ? strides[stage] : 1;
      torch::Tensor y;
      if (stage == 0) {
        y = layer(x, at + "conv_dw", at + "bn1", stride).clamp(0, 6);
        y = layer(y, at + "conv_pw", at + "bn2", 1);
      } else {
        y = layer(x, at + "conv_pw", at + "bn1", 1).clamp(0, 6);
        y = layer(y, at + "conv_dw", at + "bn2", stride).clamp(0, 6);
        y = layer(y, at + "conv_pwl", at + "bn3", 1);
      }
      x = block > 0 ? x + y : y;
    }
  return layer(x, "conv_head", "bn2", 1).clamp(0, 6).mean({2, 3});
}

TEST(EfficientNetLite, ComputesWhatTensorFlowDefines) {
  for (const char* name : {"efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"})
    for (const auto& [height, width] : {std::pair(64, 48), std::pair(65, 51)}) {
      auto model = make_model({.name = name, .classes = 3});
      initialise(model, 0);
      const torch::NoGradGuard no_gradient;
      for (auto& item : model->named_buffers()) {
        if (item.key().ends_with("running_mean")) item.value().normal_(0, 0.1);
        if (item.key().ends_with("running_var")) item.value().uniform_(0.5, 1.5);
      }
      model->eval();
      const auto images = torch::randn({2, 3, height, width});
      const auto expected = efficientnet_features(*model, images);
      EXPECT_TRUE(torch::allclose(model->features(images), expected, 1e-4, 1e-4)) << name;
      const torch::AutoGradMode with_gradient(true);  // separate norms, as in training
      EXPECT_TRUE(torch::allclose(model->features(images), expected, 1e-4, 1e-4)) << name;
    }
}

TEST(Model, EveryModelMapsImagesToClasses) {
  const std::set<std::string> large = {"wrn28-10", "resnet18", "resnet50", "resnext50"};
  for (const std::string& name : model_names())
    for (const Head head : {Head::linear, Head::cosine})
      for (const std::int64_t side : {16, 28, 33}) {
        if (side > 16 && large.contains(name)) continue;
        auto model =
            make_model({.name = name, .channels = 2, .height = side, .width = side + 1, .classes = 7, .head = head});
        model->eval();
        const auto logits = model->forward(torch::randn({3, 2, side, side + 1}));
        EXPECT_EQ(logits.sizes(), (torch::IntArrayRef{3, 7})) << name;
        if (head == Head::cosine) {
          EXPECT_LE(logits.abs().max().item<float>(), 1.0001f);
        }
      }
}

TEST(Model, EveryParameterOfEveryModelLearns) {
  for (const std::string& name : model_names()) {
    auto model = make_model({.name = name, .channels = 1, .height = 16, .width = 16, .classes = 3});
    initialise(model, 0);
    model->forward(torch::randn({4, 1, 16, 16})).square().sum().backward();
    for (const auto& item : model->named_parameters())
      EXPECT_GT(item.value().grad().defined() ? item.value().grad().abs().sum().item<float>() : 0, 0)
          << name << " " << item.key();
  }
}

TEST(Model, FeaturesTakeEitherShape) {
  const auto vectors = torch::randn({5, 9});
  for (const std::string name : {"mlp", "linear"}) {
    auto model = make_model({.name = name, .channels = 9, .height = 1, .width = 1, .classes = 4});
    initialise(model, 1);
    model->eval();
    EXPECT_TRUE(torch::equal(model->forward(vectors), model->forward(vectors.reshape({5, 9, 1, 1})))) << name;
  }
  EXPECT_EQ(default_model(9, 1, 1), "mlp");
  EXPECT_EQ(default_model(1, 28, 28), "conv3");
  EXPECT_EQ(default_model(3, 32, 32), "resnet32");
}

TEST(Model, WhatCannotBeMadeIsRefusedByName) {
  const auto refusal = [](const ModelOptions& options) {
    try {
      make_model(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  const auto expect = [&](const ModelOptions& options, const char* part) {
    const std::string message = refusal(options);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect({.name = "resnet23"}, "did you mean 'resnet2");
  expect({.name = "resnet19"}, "did you mean 'resnet18'");
  expect({.name = "quite-other"}, "torchscript:FILE");
  expect({.name = "resnet18:x"}, "takes nothing after a colon");
  expect({.name = "torchscript"}, "needs a file");
  expect({.name = "conv3", .height = 7}, "at least 8x8");
  expect({.name = "resnet50", .height = 15}, "at least 16x16");
  expect({.name = "resnet20", .channels = 9, .height = 1, .width = 1}, "vectors of 9 features");
  expect({.name = "mlp:widht=3"}, "did you mean 'width'");
  expect({.name = "mlp:width=0"}, "a width from 1");
  expect({.name = "mlp:dropout=1"}, "dropout in [0, 1)");
  expect({.name = "mlp:layers"}, "mlp:layers");
}

TEST(Mlp, HasTheLayersThatItsNameSays) {
  const auto count = [](const char* name) {
    return parameter_count(*make_model({.name = name, .channels = 9, .height = 1, .width = 1, .classes = 4}));
  };
  EXPECT_EQ(count("mlp"), 9 * 256 + 256 * 256 + 4 * 256 + 256 * 4 + 4);
  EXPECT_EQ(count("mlp:layers=1,width=5,dropout=0"), 9 * 5 + 2 * 5 + 5 * 4 + 4);
}

TEST(Mlp, DropsAFunctionOfSeedAndStep) {
  auto model = make_model({.name = "mlp:dropout=0.25", .channels = 9, .height = 1, .width = 1, .classes = 4});
  initialise(model, 1);
  const auto input = torch::randn({400, 9});
  const auto features = [&](std::uint64_t seed, std::int64_t step) {
    model->set_step(seed, step);
    return model->features(input);
  };
  const auto first = features(1, 5);
  EXPECT_TRUE(torch::equal(first, features(1, 5)));
  EXPECT_FALSE(torch::equal(first, features(1, 6)));
  EXPECT_FALSE(torch::equal(first, features(2, 5)));
  // Batch norm makes half of the features positive; ReLU and dropout keep three quarters of these.
  EXPECT_NEAR((first > 0).to(torch::kFloat).mean().item<double>(), 0.375, 0.02);
  model->eval();
  EXPECT_TRUE(torch::equal(features(1, 5), features(1, 6)));
}

TEST(Initialise, ASeedGivesTheSameWeightsAndAnotherSeedOthers) {
  const auto weights = [](std::uint64_t seed) {
    auto model = make_model({.name = "resnet20", .head = Head::cosine});
    initialise(model, seed);
    std::vector<torch::Tensor> flat;
    for (const auto& parameter : model->parameters()) flat.push_back(parameter.detach().flatten());
    return torch::cat(flat);
  };
  EXPECT_TRUE(torch::equal(weights(3), weights(3)));
  EXPECT_FALSE(torch::equal(weights(3), weights(4)));
}

TEST(Initialise, HasTheStatedDistributions) {
  auto model = make_model({.name = "resnet20", .classes = 10, .head = Head::linear});
  initialise(model, 0);
  const auto parameters = model->named_parameters();
  const auto conv = parameters["layer3.1.conv1.weight"];  // 64 x 64 x 3 x 3
  EXPECT_NEAR(conv.std().item<double>(), std::sqrt(2.0 / (64 * 9)), 0.001);
  EXPECT_NEAR(conv.mean().item<double>(), 0, 0.002);
  EXPECT_LE(parameters["fc.bias"].abs().max().item<double>(), 1.0 / 8);
  EXPECT_EQ(parameters["bn1.weight"].sum().item<double>(), 16);
  auto torchvision = make_model({.name = "resnet18", .classes = 10});
  initialise(torchvision, 0);
  const auto first = torchvision->named_parameters()["layer2.0.conv1.weight"];  // 128 x 64 x 3 x 3
  EXPECT_NEAR(first.std().item<double>(), std::sqrt(2.0 / (128 * 9)), 0.0003);
  auto mlp = make_model({.name = "mlp", .channels = 8, .height = 1, .width = 1});
  initialise(mlp, 0);
  EXPECT_NEAR(mlp->named_parameters()["fc2.weight"].std().item<double>(), std::sqrt(2.0 / 256), 0.002);
  auto cosine = make_model({.name = "conv3", .channels = 1, .head = Head::cosine});
  initialise(cosine, 0);
  EXPECT_TRUE(torch::allclose(cosine->named_parameters()["fc.weight"].norm(2, {1}), torch::ones({10})));
}

}  // namespace
}  // namespace ulmus
