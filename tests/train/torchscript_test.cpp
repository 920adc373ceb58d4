#include "train/torchscript.hpp"

#include <gtest/gtest.h>
#include <torch/script.h>

#include "temporary_folder.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::detail {
namespace {

struct Made {
  CheckpointedModel trained;
  Classifier model;
};

/// With batch norm statistics that differ from the initial ones.
Made make(const std::string& name, Head head, std::int64_t channels, std::int64_t side, const char* loss) {
  const ModelOptions options{
      .name = name, .channels = channels, .height = side, .width = side, .classes = 3, .head = head};
  Made made{{.info = {.loss = loss, .model = options, .class_names = {"a", "b\"\n", "\u00e9"}},
             .loss = LossSpec::parse(loss)},
            make_model(options)};
  for (std::int64_t c = 0; c < channels; ++c) {
    made.trained.info.normalisation.mean.push_back(0.2f + 0.1f * static_cast<float>(c));
    made.trained.info.normalisation.stddev.push_back(0.3f + 0.1f * static_cast<float>(c));
  }
  torch::manual_seed(1);
  initialise(made.model, 1);
  const torch::NoGradGuard no_gradient;
  for (auto& item : made.model->named_buffers())
    if (item.value().is_floating_point()) item.value().uniform_(0.5, 1.5);
  for (auto& item : made.model->named_parameters())
    if (item.key().find("bn") != std::string::npos) item.value().uniform_(-1, 1);
  made.model->eval();
  return made;
}

torch::Tensor expected_of(const Made& made, const torch::Tensor& images) {
  const torch::NoGradGuard no_gradient;
  const auto& [mean, stddev] = made.trained.info.normalisation;
  torch::Tensor normalised = images;
  if (!mean.empty())
    normalised = (images - torch::tensor(mean).reshape({1, -1, 1, 1})) / torch::tensor(stddev).reshape({1, -1, 1, 1});
  Classifier model = made.model;
  return torch::softmax(model->forward(normalised) * made.trained.loss.scale(), 1);
}

TEST(TorchScript, ComputesWhatTheModelComputes) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  for (const auto& [name, head, channels, side, loss] :
       {std::tuple("conv3", Head::linear, 1, 28, "ce"), std::tuple("conv3", Head::cosine, 3, 12, "elm:scale=20.5"),
        std::tuple("resnet20", Head::linear, 3, 16, "la:scale=1"), std::tuple("resnet32", Head::cosine, 3, 9, "ldam"),
        std::tuple("mlp:layers=3,width=20", Head::cosine, 5, 1, "elm"), std::tuple("mlp", Head::linear, 3, 4, "ce"),
        std::tuple("linear", Head::linear, 7, 1, "ce"), std::tuple("resnet18", Head::linear, 3, 33, "ce:scale=5"),
        std::tuple("resnet50", Head::cosine, 3, 32, "ldam"), std::tuple("resnext50", Head::cosine, 3, 32, "ldam"),
        std::tuple("efficientnet-lite0", Head::cosine, 3, 32, "ldam"),
        std::tuple("efficientnet-lite2", Head::cosine, 3, 37, "ldam")}) {
    SCOPED_TRACE(name);
    const Made made = make(name, head, channels, side, loss);
    write_file(path, encode_torchscript(made.trained, made.model));
    for (const std::int64_t count : {1, 5}) {
      const auto images = torch::rand({count, channels, side, side});
      const auto came = run_torchscript(path, images), expected = expected_of(made, images);
      EXPECT_LT((came - expected).abs().max().item<double>(), 1e-5);
      EXPECT_GT((expected.max() - expected.min()).item<double>(), 0.05);  // otherwise every model would pass
    }
  }
}

TEST(TorchScript, TakesTheFeaturesOfATableAsTheyAreEncoded) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  Made made = make("mlp", Head::linear, 6, 1, "ce");
  made.trained.info.normalisation = {};
  made.trained.info.encoding = "{}";
  write_file(path, encode_torchscript(made.trained, made.model));
  const auto rows = torch::randn({5, 6});
  EXPECT_LT((run_torchscript(path, rows) - expected_of(made, rows)).abs().max().item<double>(), 1e-6);
  EXPECT_EQ(torch::jit::load(path.string()).attr("encoding").toStringRef(), "{}");
}

TEST(TorchScript, KeepsTheNamesOfTensorsAndClasses) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  const Made made = make("resnet20", Head::linear, 3, 16, "ce");
  write_file(path, encode_torchscript(made.trained, made.model));
  const torch::jit::Module module = torch::jit::load(path.string());
  EXPECT_FALSE(module.is_training());
  std::map<std::string, torch::Tensor> found;
  for (const auto& item : module.named_parameters()) found.emplace(item.name, item.value);
  EXPECT_EQ(found.size(), made.model->named_parameters().size());
  for (const auto& item : made.model->named_parameters())
    EXPECT_TRUE(found.contains(item.key()) && torch::equal(found.at(item.key()), item.value())) << item.key();
  const auto names = module.attr("class_names").toListRef();
  ASSERT_EQ(names.size(), 3u);
  EXPECT_EQ(names[1].toStringRef(), "b\"\n");
}

TEST(TorchScript, IsRefusedForOtherModelsAndDamagedFiles) {
  EXPECT_THROW(require_scriptable({.name = "wrn28-10"}), Error);
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  write_file(path, "no archive");
  EXPECT_THROW(run_torchscript(path, torch::rand({1, 3, 8, 8})), Error);
}

}  // namespace
}  // namespace ulmus::detail
