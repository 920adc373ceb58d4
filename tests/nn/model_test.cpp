#include "ulmus/nn/model.hpp"

#include <gtest/gtest.h>

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

json rows_of(const torch::Tensor& tensor) {
  json rows = json::array();
  for (std::int64_t i = 0; i < tensor.size(0); ++i) {
    const auto row = tensor[i].contiguous();
    rows.push_back(std::vector<double>(row.data_ptr<double>(), row.data_ptr<double>() + row.numel()));
  }
  return rows;
}

/// The cosine head from its definition, with loops and a written-out gradient.
json own_case(std::int64_t n, std::int64_t d, std::int64_t c) {
  const auto h = torch::randn({n, d}, torch::kDouble), w = torch::randn({d, c}, torch::kDouble),
             g = torch::randn({n, c}, torch::kDouble);
  const auto hn = h / h.norm(2, {1}, true), wn = w / w.norm(2, {0}, true);
  const auto v = g.mm(wn.t());
  const auto u = hn.t().mm(g);
  return {{"id", "own"},
          {"features", rows_of(h)},
          {"weight", rows_of(w)},
          {"grad_output", rows_of(g)},
          {"output", rows_of(hn.mm(wn))},
          {"grad_features", rows_of((v - hn * (hn * v).sum(1, true)) / h.norm(2, {1}, true))},
          {"grad_weight", rows_of((u - wn * (wn * u).sum(0, true)) / w.norm(2, {0}, true))}};
}

TEST(CosineLinear, AgreesWithThePublishedVectors) {
  torch::manual_seed(0);
  json cases = json::array({own_case(5, 8, 3), own_case(1, 2, 2)});
  if (const auto published = golden::read("normed_linear.json")) cases = (*published)["cases"];
  int compared = 0;
  for (const json& entry : cases) {
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
  EXPECT_GE(compared, 2);
}

TEST(ResNet, HasThePublishedNumberOfParameters) {
  const auto count = [](const char* name, Head head) {
    return parameter_count(*make_model({.name = name, .head = head}));
  };
  EXPECT_EQ(count("resnet32", Head::linear), 464154);  // LDAM-DRW protocol, 10 classes
  EXPECT_EQ(count("resnet32", Head::cosine), 464144);
  EXPECT_EQ(count("resnet20", Head::linear), 269722);
  EXPECT_EQ(count("resnet56", Head::linear), 853018);
}

TEST(Model, EveryModelMapsImagesToClasses) {
  for (const std::string& name : model_names())
    for (const Head head : {Head::linear, Head::cosine})
      for (const std::int64_t side : {8, 28, 33}) {
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

TEST(Model, UnknownNamesAndTinyImagesAreRefused) {
  try {
    make_model({.name = "resnet23"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'resnet2"), std::string::npos) << error.what();
  }
  EXPECT_THROW(make_model({.name = "conv3", .height = 7}), Error);
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
  auto cosine = make_model({.name = "conv3", .channels = 1, .head = Head::cosine});
  initialise(cosine, 0);
  EXPECT_TRUE(torch::allclose(cosine->named_parameters()["fc.weight"].norm(2, {1}), torch::ones({10})));
}

}  // namespace
}  // namespace ulmus
