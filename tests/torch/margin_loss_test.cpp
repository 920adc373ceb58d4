#include "ulmus/torch/margin_loss.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

constexpr const char* k_specs[] = {
    "ce", "ce+cb",      "ce:scale=4+inverse", "ldam", "ldam+cb",      "elm:lambda=0.5", "elm:lambda=-1,scale=5+inverse",
    "bs", "la:tau=1.5", "vs:gamma=0.3",       "cdt",  "focal:gamma=2"};

Loss make_loss(const char* spec, std::int64_t classes) {
  std::vector<std::int64_t> counts;
  for (std::int64_t j = 0; j < classes; ++j) counts.push_back(1 + (j * 7919) % 1000);
  return Loss(LossSpec::parse(spec), ClassCounts(counts));
}

struct Data {
  torch::Tensor logits, labels;
  Data(std::int64_t rows, std::int64_t classes, torch::Dtype dtype = torch::kDouble)
      : logits(torch::randn({rows, classes}, dtype).requires_grad_()),
        labels(torch::randint(classes, {rows}, torch::kInt64)) {}
};

class MarginLoss : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(0); }
};

TEST_F(MarginLoss, KernelAndTensorOperationsAgree) {
  for (const char* spec : k_specs)
    for (const std::int64_t classes : {1, 2, 10, 333})
      for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none}) {
        Data a(17, classes);
        const torch::Tensor other = a.logits.detach().clone().requires_grad_();
        const Loss loss = make_loss(spec, classes);
        const auto fused = margin_loss(a.logits, a.labels, loss, reduction);
        const auto composed = composed_loss(other, a.labels, loss, reduction);
        EXPECT_NEAR(fused.item<double>(), composed.item<double>(), 1e-10 * (1 + composed.item<double>()))
            << spec << ' ' << classes;
        fused.backward();
        composed.backward();
        EXPECT_TRUE(torch::allclose(a.logits.grad(), other.grad(), 1e-9, 1e-12)) << spec << ' ' << classes;
      }
}

TEST_F(MarginLoss, FloatAgreesWithDouble) {
  for (const char* spec : k_specs) {
    Data data(64, 50);
    const torch::Tensor narrow = data.logits.detach().to(torch::kFloat).requires_grad_();
    const Loss loss = make_loss(spec, 50);
    const auto expected = margin_loss(data.logits, data.labels, loss);
    const auto value = margin_loss(narrow, data.labels, loss);
    EXPECT_EQ(value.scalar_type(), torch::kFloat);
    EXPECT_NEAR(value.item<double>(), expected.item<double>(),
                1e-5 * loss.spec().scale() * std::max(1.0, expected.item<double>()));
    expected.backward();
    value.backward();
    EXPECT_TRUE(torch::allclose(narrow.grad().to(torch::kDouble), data.logits.grad(), 1e-3, 1e-5)) << spec;
  }
}

TEST_F(MarginLoss, PlainCrossEntropyIsTorchs) {
  Data data(32, 10);
  const Loss loss = make_loss("ce+inverse", 10);
  const auto weights =
      torch::tensor(std::vector<double>(loss.class_weights().begin(), loss.class_weights().end()), torch::kDouble);
  const auto expected = torch::nn::functional::cross_entropy(
      data.logits, data.labels, torch::nn::functional::CrossEntropyFuncOptions().weight(weights));
  EXPECT_NEAR(margin_loss(data.logits, data.labels, loss).item<double>(), expected.item<double>(), 1e-12);
}

TEST_F(MarginLoss, AnUpstreamFactorScalesTheGradient) {
  Data data(8, 5);
  const Loss loss = make_loss("elm", 5);
  margin_loss(data.logits, data.labels, loss).backward();
  const auto plain = data.logits.grad().clone();
  data.logits.mutable_grad().zero_();
  (3 * margin_loss(data.logits, data.labels, loss)).backward();
  EXPECT_TRUE(torch::allclose(data.logits.grad(), 3 * plain));
}

TEST_F(MarginLoss, StridedAndTransposedLogitsAreReadWhereTheyLie) {
  Data data(9, 12);
  const Loss loss = make_loss("elm:lambda=0.5", 6);
  const auto labels = data.labels.remainder(6);
  for (const auto& view :
       {data.logits.slice(1, 0, 6), data.logits.slice(1, 0, 12, 2), data.logits.slice(1, 0, 6).t().contiguous().t()})
    EXPECT_EQ(margin_loss(view, labels, loss).item<double>(),
              margin_loss(view.contiguous(), labels, loss).item<double>());
  margin_loss(data.logits.slice(1, 0, 6), labels, loss).backward();
  EXPECT_EQ(data.logits.grad().slice(1, 6).abs().sum().item<double>(), 0);
  EXPECT_GT(data.logits.grad().slice(1, 0, 6).abs().sum().item<double>(), 0);
}

TEST_F(MarginLoss, NarrowDtypesRunInTheKernelToo) {
  Data data(16, 10);
  const Loss loss = make_loss("elm:lambda=0.5", 10);
  const auto expected = margin_loss(data.logits, data.labels, loss).item<double>();
  for (const auto dtype : {torch::kBFloat16, torch::kHalf}) {
    const auto narrow = data.logits.detach().to(dtype).requires_grad_();
    const auto other = narrow.detach().clone().requires_grad_();
    const auto value = margin_loss(narrow, data.labels, loss);
    const auto composed = composed_loss(other, data.labels, loss);
    EXPECT_EQ(value.scalar_type(), dtype);
    EXPECT_NEAR(value.item<double>(), expected, 0.02 * expected + 0.1);
    value.backward();
    composed.backward();
    EXPECT_EQ(narrow.grad().scalar_type(), dtype);
    EXPECT_TRUE(torch::allclose(narrow.grad(), other.grad(), 0.05, 0.01));
  }
}

TEST_F(MarginLoss, ADeviceWithoutAKernelUsesTensorOperationsAndSaysSo) {
  const auto logits = torch::empty({4, 3}, torch::TensorOptions(torch::kFloat).device(torch::kMeta));
  const auto labels = torch::empty({4}, torch::TensorOptions(torch::kInt64).device(torch::kMeta));
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) {
    try {
      margin_loss(logits, labels, make_loss("ce", 3));
    } catch (const c10::Error&) {
      // The meta device computes shapes only; some versions of LibTorch lack an operation there.
    }
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  const auto first = said.find("composed_loss takes over");
  EXPECT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("composed_loss takes over", first + 1), std::string::npos) << "announced more than once";
}

TEST_F(MarginLoss, RefusesASecondDerivative) {
  Data data(4, 3);
  const auto value = margin_loss(data.logits, data.labels, make_loss("ce", 3));
  EXPECT_THROW(torch::autograd::grad({value}, {data.logits}, {}, true, true), Error);
  const auto composed = composed_loss(data.logits, data.labels, make_loss("ce", 3));
  EXPECT_NO_THROW(torch::autograd::grad({composed}, {data.logits}, {}, true, true));
}

TEST_F(MarginLoss, RefusesWhatDoesNotFit) {
  Data data(4, 3);
  const Loss loss = make_loss("ce", 3);
  EXPECT_THROW(margin_loss(data.logits.flatten(), data.labels, loss), Error);
  EXPECT_THROW(margin_loss(data.logits.detach().to(torch::kInt64), data.labels, loss), Error);
  EXPECT_THROW(margin_loss(data.logits, data.labels.to(torch::kInt32), loss), Error);
  EXPECT_THROW(margin_loss(data.logits, data.labels.slice(0, 0, 2), loss), Error);
  EXPECT_THROW(margin_loss(data.logits, data.labels + 3, loss), Error);
  EXPECT_THROW(margin_loss(data.logits, data.labels, make_loss("ce", 4)), Error);
}

TEST_F(MarginLoss, ANoGradCallMakesNoGraph) {
  Data data(4, 3);
  const torch::NoGradGuard guard;
  EXPECT_FALSE(margin_loss(data.logits, data.labels, make_loss("ce", 3)).requires_grad());
}

TEST_F(MarginLoss, TheModuleFollowsTheEpoch) {
  Data data(32, 4);
  LossModule module(make_loss("ldam+drw", 4));
  module->set_epoch(0, 10);
  const auto before = module(data.logits, data.labels).item<double>();
  module->set_epoch(9, 10);
  EXPECT_NE(module(data.logits, data.labels).item<double>(), before);
  std::ostringstream text;
  text << *module;
  EXPECT_EQ(text.str(), "ulmus::LossModule(ldam+drw, reduction=weighted-mean)");
}

}  // namespace
}  // namespace ulmus
