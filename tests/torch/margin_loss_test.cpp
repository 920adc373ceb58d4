#include "ulmus/torch/margin_loss.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "torch/check.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

/// Every loss, some twice: those of the family, and these.
const std::vector<std::string>& specs() {
  static const std::vector<std::string> list = [] {
    std::vector<std::string> all;
    for (const LossDefinition& definition : family()) all.emplace_back(definition.name);
    for (const char* more : {"ce+cb",
                             "ce:scale=4+inverse",
                             "ldam+cb",
                             "elm:lambda=0.5",
                             "elm:lambda=-1,scale=5+inverse",
                             "elm:lambda=0.5,placement=rival",
                             "la:tau=1.5",
                             "focal:gamma=2",
                             "mm:variant=ldam,scale=5",
                             "dbm:base=bs,scale=4",
                             "arcface:variant=opensphere,scale=5",
                             "cb:kind=sigmoid",
                             "cb:kind=focal,gamma=2",
                             "kps:scaling=label",
                             "eql:kind=sigmoid,lambda=0.2",
                             "eql:lambda=0.2",
                             "las:shape=linear",
                             "las:shape=convex",
                             "poly1+cb",
                             "lm-softmax:lower=1+cb",
                             "ib:from=0",
                             "ib-focal:from=0,gamma=2",
                             "ib:from=0,weights=none+cb",
                             "dro-lt:from=0",
                             "dro-lt:from=0+cb",
                             "lmd:norm=l1,delta_d=6",
                             "tam:from=0",
                             "tam:from=0,base=bs",
                             "ce:scale=2+drw"})
      all.emplace_back(more);
    return all;
  }();
  return list;
}

/// The logits of these losses are cosines.
bool wants_cosines(const Loss& loss) { return loss.spec().definition().head == Head::cosine; }

Loss make_loss(const std::string& spec, std::int64_t classes) {
  std::vector<std::int64_t> counts;
  for (std::int64_t j = 0; j < classes; ++j) counts.push_back(1 + (j * 7919) % 1000);
  Loss loss(LossSpec::parse(spec), ClassCounts(counts));
  loss.set_epoch(0, 1);
  return loss;
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

/// Features, a head on them and its logits, all differentiable.
struct HeadData {
  HeadInputs head;
  torch::Tensor logits, labels;

  HeadData(std::int64_t rows, std::int64_t classes, bool cosines) {
    head = {torch::randn({rows, 6}, torch::kDouble).requires_grad_(),
            torch::randn({classes, 6}, torch::kDouble).requires_grad_(),
            torch::randn({classes}, torch::kDouble).requires_grad_()};
    logits = cosines ? torch::rand({rows, classes}, torch::kDouble) * 1.9 - 0.95
                     : torch::randn({rows, classes}, torch::kDouble);
    logits.requires_grad_();
    labels = torch::randint(classes, {rows}, torch::kInt64);
  }
  /// Copies the values, with empty gradients.
  HeadData(const HeadData& other) : labels(other.labels) {
    const auto copy = [](const torch::Tensor& t) { return t.detach().clone().requires_grad_(); };
    head = {copy(other.head.features), copy(other.head.weight), copy(other.head.bias)};
    logits = copy(other.logits);
  }
  std::vector<torch::Tensor> inputs() const { return {logits, head.features, head.weight, head.bias}; }
};

TEST_F(MarginLoss, KernelAndTensorOperationsAgree) {
  for (const std::string& spec : specs())
    for (const std::int64_t classes : {2, 10, 100})
      for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none}) {
        Loss loss = make_loss(spec, classes);
        if (!detail::is_composable(loss)) continue;
        HeadData a(17, classes, wants_cosines(loss));
        const HeadData b(a);
        if (loss.is_stateful()) {  // a second step, so that the means differ from the batch's own
          for (int step = 0; step < 2; ++step) {
            LossModule module(loss, reduction);
            module->train();
            HeadData earlier(17, classes, wants_cosines(loss));
            module(earlier.logits, step == 0 ? earlier.labels : a.labels, step == 0 ? earlier.head : a.head);
            loss = module->loss();
          }
        }
        SCOPED_TRACE(spec + " of " + std::to_string(classes) + " classes, " + std::string(name_of(reduction)));
        const auto fused = margin_loss(a.logits, a.labels, loss, reduction, a.head);
        const auto composed = composed_loss(b.logits, b.labels, loss, reduction, b.head);
        EXPECT_NEAR(fused.item<double>(), composed.item<double>(), 1e-9 * (1 + std::fabs(composed.item<double>())));
        fused.backward();
        composed.backward();
        for (std::size_t k = 0; k < a.inputs().size(); ++k) {
          const auto ours = a.inputs()[k].grad(), theirs = b.inputs()[k].grad();
          const auto zero = torch::zeros_like(a.inputs()[k]);
          EXPECT_TRUE(torch::allclose(ours.defined() ? ours : zero, theirs.defined() ? theirs : zero, 1e-7, 1e-10))
              << "input " << k << ": " << ours << theirs;
        }
      }
}

TEST_F(MarginLoss, CountsTheRowsThatArgmaxGetsRight) {
  for (const std::string& spec : specs())
    for (const torch::Dtype dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kHalf})
      for (const std::int64_t classes : {2, 10, 40}) {
        SCOPED_TRACE(spec + " of " + std::to_string(classes) + " classes, " + c10::toString(dtype));
        const Loss loss = make_loss(spec, classes);
        HeadData data(60, classes, true);
        torch::Tensor logits = data.logits.detach().to(dtype);
        const auto rows = torch::arange(60), right = data.labels.slice(0, 0, 60, 2);
        logits.index_put_({rows.slice(0, 0, 60, 2), right}, 0.96);  // correct, or a tie
        logits.index_put_({rows.slice(0, 0, 60, 4), torch::randint(classes, {15})}, 0.96);
        logits.index_put_({rows.slice(0, 1, 60, 10), torch::randint(classes, {6})}, -INFINITY);  // masked
        logits.index_put_({rows.slice(0, 3, 60, 10), torch::randint(classes, {6})}, NAN);
        logits.index_put_({rows.slice(0, 5, 60, 10), torch::randint(classes, {6})}, INFINITY);
        const auto expected = (logits.argmax(1) == data.labels).sum().item<std::int64_t>();
        const HeadInputs head{data.head.features.to(dtype), data.head.weight.to(dtype), data.head.bias.to(dtype)};
        for (const torch::Tensor& z : {logits, logits.clone().requires_grad_(), logits.t().contiguous().t()}) {
          std::int64_t correct = -1;
          margin_loss(z, data.labels, loss, Reduction::mean, head, &correct);
          EXPECT_EQ(correct, expected);
          LossModule module(loss);
          module(z, data.labels, head, &correct);
          EXPECT_EQ(correct, expected);
        }
      }
}

/// Compares kernel and tensor operations on the same batch, forward and backward.
void expect_equal(const Loss& loss, Reduction reduction, const HeadData& data) {
  const HeadData a(data), b(data);
  const auto fused = margin_loss(a.logits, a.labels, loss, reduction, a.head);
  const auto composed = composed_loss(b.logits, b.labels, loss, reduction, b.head);
  EXPECT_NEAR(fused.item<double>(), composed.item<double>(), 1e-9 * (1 + std::fabs(composed.item<double>())));
  fused.backward();
  composed.backward();
  for (std::size_t k = 0; k < a.inputs().size(); ++k) {
    const auto ours = a.inputs()[k].grad(), theirs = b.inputs()[k].grad();
    const auto zero = torch::zeros_like(a.inputs()[k]);
    EXPECT_TRUE(torch::allclose(ours.defined() ? ours : zero, theirs.defined() ? theirs : zero, 1e-7, 1e-10))
        << "input " << k << ": " << ours << theirs;
  }
}

TEST_F(MarginLoss, KernelAndTensorOperationsAgreeOnClassesWithoutSamplesAndBeforeTheFirstUpdate) {
  for (const std::string& spec : specs())
    for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none})
      for (const std::vector<std::int64_t>& counts :
           {std::vector<std::int64_t>{50, 20, 5, 0}, {0, 7, 0, 100}, {0, 0, 0, 3}}) {
        Loss loss(LossSpec::parse(spec), ClassCounts(counts));
        loss.set_epoch(0, 1);
        if (!detail::is_composable(loss)) continue;
        SCOPED_TRACE(spec + " with first count " + std::to_string(counts[0]) + ", " + std::string(name_of(reduction)));
        expect_equal(loss, reduction, HeadData(17, 4, wants_cosines(loss)));
      }
}

TEST_F(MarginLoss, KernelAndTensorOperationsAgreeWhereAClassHasNoWeight) {
  for (const std::string& spec : specs())
    for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none})
      for (const std::vector<double>& weights : {std::vector<double>{1, 0, 2, 0.5}, {0, 0, 0, 0}}) {
        Loss loss = make_loss(spec, 4);
        if (!detail::is_composable(loss)) continue;
        loss.set_class_weights(weights);
        SCOPED_TRACE(spec + ", first weight " + std::to_string(weights[0]) + ", " + std::string(name_of(reduction)));
        HeadData data(17, 4, wants_cosines(loss));
        expect_equal(loss, reduction, data);
        const torch::NoGradGuard guard;  // arbitrary values in rows that do not count
        for (std::int64_t i = 0; i < 17; ++i)
          if (weights[static_cast<std::size_t>(data.labels[i].item<std::int64_t>())] == 0)
            data.logits[i].fill_(std::numeric_limits<double>::infinity());
        const double value = margin_loss(data.logits, data.labels, loss, reduction, data.head).item<double>();
        EXPECT_NEAR(composed_loss(data.logits, data.labels, loss, reduction, data.head).item<double>(), value,
                    1e-9 * (1 + std::fabs(value)));
      }
}

TEST_F(MarginLoss, TensorOperationsAreRefusedForALossThatIsNotMadeOfThem) {
  int refused = 0;
  for (const std::string& spec : specs()) {
    const Loss loss = make_loss(spec, 4);
    if (detail::is_composable(loss)) continue;
    const HeadData data(5, 4, wants_cosines(loss));
    EXPECT_THROW(composed_loss(data.logits, data.labels, loss, Reduction::mean, data.head), Error) << spec;
    ++refused;
  }
  EXPECT_GT(refused, 10);
}

TEST_F(MarginLoss, TensorOperationsSeeAnOverflowToo) {
  for (const std::string& spec : specs()) {
    const Loss loss = make_loss(spec, 4);
    const HeadData data(5, 4, wants_cosines(loss));
    const torch::NoGradGuard guard;
    data.logits[1][data.labels[1].item<std::int64_t>()].fill_(std::numeric_limits<double>::infinity());
    EXPECT_TRUE(std::isnan(margin_loss(data.logits, data.labels, loss, Reduction::mean, data.head).item<double>()));
    if (!detail::is_composable(loss)) continue;
    EXPECT_TRUE(std::isnan(composed_loss(data.logits, data.labels, loss, Reduction::mean, data.head).item<double>()))
        << spec;
  }
}

TEST_F(MarginLoss, AStateOfFeaturesOfAnotherWidthIsRefused) {
  for (const char* spec : {"dro-lt:from=0", "lmd"}) {
    const HeadData data(9, 4, false);
    LossModule module(make_loss(spec, 4));
    module->set_state({.values = std::vector<double>(4 * (1 + 3), 1)});
    EXPECT_THROW(module(data.logits, data.labels, data.head), Error);
    module->eval();
    EXPECT_THROW(module(data.logits, data.labels, data.head), Error);
    EXPECT_THROW(composed_loss(data.logits, data.labels, module->loss(), Reduction::mean, data.head), Error);
    EXPECT_THROW(module->set_state({.values = std::vector<double>(4 * 3 + 1, 1)}), Error);
  }
}

TEST_F(MarginLoss, FloatAgreesWithDouble) {
  for (const std::string& spec : specs()) {
    Loss loss = make_loss(spec, 50);
    const HeadData a(64, 50, wants_cosines(loss));
    if (loss.is_stateful()) {
      LossModule module(loss);
      module->train();
      module(a.logits, a.labels, a.head);
      loss = module->loss();
    }
    const torch::Tensor narrow = a.logits.detach().to(torch::kFloat).requires_grad_();
    const auto expected = margin_loss(a.logits, a.labels, loss, Reduction::weighted_mean, a.head);
    const auto value = margin_loss(narrow, a.labels, loss, Reduction::weighted_mean, a.head);
    EXPECT_EQ(value.scalar_type(), torch::kFloat);
    EXPECT_NEAR(value.item<double>(), expected.item<double>(),
                1e-5 * std::max(1.0, loss.spec().scale()) * std::max(1.0, std::fabs(expected.item<double>())))
        << spec;
    expected.backward();
    value.backward();
    EXPECT_TRUE(torch::allclose(narrow.grad().to(torch::kDouble), a.logits.grad(), 1e-3, 1e-5)) << spec;
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
      // The meta device only computes shapes; some versions of LibTorch lack an operation there.
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
