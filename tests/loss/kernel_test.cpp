#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "loss/row_kernel.hpp"
#include "loss/smoothing.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/loss/target.hpp"

namespace ulmus {
namespace {

constexpr float k_inf = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

template <class T>
double widen(T value) {
  if constexpr (std::is_same_v<T, double>)
    return value;
  else
    return static_cast<double>(static_cast<float>(value));
}

template <class T>
T narrowed(double value) {
  if constexpr (std::is_same_v<T, double>)
    return value;
  else
    return static_cast<T>(static_cast<float>(value));
}

template <class T>
struct Problem {
  std::int64_t rows, classes;
  std::vector<T> logits;
  std::vector<std::int64_t> labels, counts;

  Problem(std::int64_t rows_, std::int64_t classes_, double spread = 1) : rows(rows_), classes(classes_) {
    Stream stream(7, "kernel", static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(classes));
    for (std::int64_t j = 0; j < classes; ++j) counts.push_back(static_cast<std::int64_t>(1 + stream.below(1000)));
    for (std::int64_t i = 0; i < rows; ++i)
      labels.push_back(static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(classes))));
    for (std::int64_t k = 0; k < rows * classes; ++k) logits.push_back(narrowed<T>(spread * stream.normal()));
  }
  Loss loss(const std::string& text) const { return Loss(LossSpec::parse(text), ClassCounts(counts)); }
  MatrixView<const T> view() const { return {logits.data(), rows, classes}; }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Every test of the kernel runs on each instruction set that this machine supports.
class Kernel : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { use_target(GetParam()); }
  void TearDown() override { use_target(""); }
  bool fused() const { return GetParam() != "sse4" && GetParam() != "scalar"; }
};

constexpr std::int64_t k_widths[] = {2,  3,  4,  5,  7,  8,   9,    15,   16,   17,   18,   31,   32,   33,
                                     63, 64, 65, 80, 96, 100, 1023, 1024, 1025, 4095, 4096, 4097, 8142, 12300};

TEST_P(Kernel, FloatIsWithinTheStatedErrorOfDouble) {
  for (const char* text : {"ce", "elm:lambda=0.5", "ldam:scale=5", "bs", "vs", "focal:gamma=2"})
    for (const std::int64_t classes : k_widths) {
      SCOPED_TRACE(fmt::format("{} with {} classes", text, classes));
      const Problem<float> narrow(19, classes);
      const Loss loss = narrow.loss(text);
      const std::vector<double> wide(narrow.logits.begin(), narrow.logits.end());
      std::vector<double> expected(wide.size());
      std::vector<float> gradient(wide.size());
      const double value =
          loss.evaluate<double>({wide.data(), 19, classes}, {.labels = narrow.labels}, {expected.data(), 19, classes});
      EXPECT_NEAR(
          loss.evaluate<float>(narrow.view(), {.labels = narrow.labels}, {gradient.data(), 19, classes}) / value, 1,
          5e-7);
      double error = 0, norm = 0;
      for (std::size_t k = 0; k < expected.size(); ++k) {
        error += std::pow(static_cast<double>(gradient[k]) - expected[k], 2);
        norm += std::pow(expected[k], 2);
      }
      EXPECT_LE(std::sqrt(error / norm), 2e-6);
    }
}

TEST_P(Kernel, DoubleAgreesWithTheKernelOfTheLastTarget) {
  for (const char* text : {"elm:lambda=0.5", "vs", "focal:gamma=0.5"})
    for (const std::int64_t classes : k_widths) {
      const Problem<double> problem(5, classes, 3);
      const Loss loss = problem.loss(text);
      std::vector<double> gradient(problem.logits.size()), expected(problem.logits.size());
      const double value =
          loss.evaluate<double>(problem.view(), {.labels = problem.labels}, {gradient.data(), 5, classes});
      use_target(ULMUS_LAST_TARGET);
      EXPECT_NEAR(
          loss.evaluate<double>(problem.view(), {.labels = problem.labels}, {expected.data(), 5, classes}) / value, 1,
          1e-13);
      use_target(GetParam());
      for (std::size_t k = 0; k < expected.size(); ++k)
        EXPECT_NEAR(gradient[k], expected[k], 1e-13) << text << ' ' << classes << ' ' << k;
    }
}

/// The bits of a row depend only on the row: not on where the gradient is stored, on threads, other rows, stride or
/// alignment.
template <class T>
void expect_rows_stand_alone() {
  for (const char* text : {"elm:lambda=0.5", "vs"})
    for (const std::int64_t classes : {2, 10, 16, 17, 100, 1025, 9000}) {
      SCOPED_TRACE(fmt::format("{} with {} classes", text, classes));
      const std::int64_t rows = 37;
      const Problem<T> problem(rows, classes);
      const Loss loss = problem.loss(text);
      std::vector<T> gradient(problem.logits.size()), again(problem.logits.size());
      std::vector<double> losses(37), same(37);
      LossBatch batch{.labels = problem.labels, .reduction = Reduction::none, .losses = losses, .threads = 1};
      loss.evaluate<T>(problem.view(), batch, {gradient.data(), rows, classes});

      batch.losses = same;
      for (const int threads : {2, 3}) {
        batch.threads = threads;
        again = problem.logits;
        loss.evaluate<T>({again.data(), rows, classes}, batch, {again.data(), rows, classes});
        EXPECT_TRUE(same_bits(again, gradient)) << "in place, " << threads << " threads";
        EXPECT_TRUE(same_bits(same, losses));
      }
      loss.evaluate<T>(problem.view(), batch);
      EXPECT_TRUE(same_bits(same, losses)) << "without gradient";

      for (std::int64_t i = 0; i < rows; i += 4) {
        std::vector<T> row(static_cast<std::size_t>(classes + 1 + i % 3));
        T* shifted = row.data() + 1 + i % 3;
        std::copy_n(problem.logits.begin() + i * classes, classes, shifted);
        double alone = 0;
        loss.evaluate<T>({shifted, 1, classes},
                         {.labels = std::span(problem.labels).subspan(static_cast<std::size_t>(i), 1),
                          .reduction = Reduction::none,
                          .losses = {&alone, 1}},
                         {shifted, 1, classes});
        EXPECT_EQ(alone, losses[static_cast<std::size_t>(i)]);
        EXPECT_EQ(std::memcmp(shifted, gradient.data() + i * classes, static_cast<std::size_t>(classes) * sizeof(T)),
                  0);
      }
    }
}

TEST_P(Kernel, RowsStandAlone) {
  expect_rows_stand_alone<float>();
  expect_rows_stand_alone<double>();
  expect_rows_stand_alone<BFloat16>();
  expect_rows_stand_alone<Half>();
}

TEST_P(Kernel, PaddingIsNeitherReadNorWritten) {
  for (const std::int64_t classes : {3, 16, 17, 50, 1000}) {
    const Problem<float> problem(9, classes);
    const std::int64_t stride = classes + 3;
    std::vector<float> padded(static_cast<std::size_t>(9 * stride), k_nan), expected(problem.logits.size());
    for (std::int64_t i = 0; i < 9; ++i)
      std::copy_n(problem.logits.begin() + i * classes, classes, padded.begin() + i * stride);
    const Loss loss = problem.loss("elm");
    const double value =
        loss.evaluate<float>(problem.view(), {.labels = problem.labels}, {expected.data(), 9, classes});
    EXPECT_EQ(loss.evaluate<float>({padded.data(), 9, classes, stride}, {.labels = problem.labels},
                                   {padded.data(), 9, classes, stride}),
              value);
    for (std::int64_t i = 0; i < 9; ++i) {
      for (std::int64_t j = 0; j < classes; ++j)
        EXPECT_EQ(padded[static_cast<std::size_t>(i * stride + j)],
                  expected[static_cast<std::size_t>(i * classes + j)]);
      for (std::int64_t j = classes; j < stride; ++j)
        EXPECT_TRUE(std::isnan(padded[static_cast<std::size_t>(i * stride + j)]));
    }
  }
}

/// A row of zeros except for some logits, with label 1.
struct Spiked {
  double loss;
  std::vector<float> gradient;

  Spiked(std::int64_t classes, std::vector<std::pair<std::size_t, float>> spikes, const char* text = "ce") {
    std::vector<float> logits(static_cast<std::size_t>(classes), 0);
    for (const auto& [j, z] : spikes) logits[j] = z;
    gradient = logits;
    const std::vector<std::int64_t> labels = {1};
    const Loss of(LossSpec::parse(text), ClassCounts(std::vector<std::int64_t>(logits.size(), 5)));
    loss = of.evaluate<float>({logits.data(), 1, classes}, {.labels = labels}, {gradient.data(), 1, classes});
  }
};

TEST_P(Kernel, InfiniteAndNanLogitsHaveADefinedOutcome) {
  for (const char* text : {"ce", "bs"})
    for (const std::int64_t classes : {3, 16, 17, 100, 9000}) {
      SCOPED_TRACE(fmt::format("{} with {} classes", text, classes));
      const auto last = static_cast<std::size_t>(classes - 1);
      {
        const Spiked rival(classes, {{last, k_inf}}, text);
        EXPECT_EQ(rival.loss, k_inf);
        EXPECT_EQ(rival.gradient[0], 0);
        EXPECT_EQ(rival.gradient[1], -1);
        EXPECT_EQ(rival.gradient[last], 1);
      }
      {
        const Spiked two_rivals(classes, {{0, k_inf}, {last, k_inf}}, text);
        EXPECT_EQ(two_rivals.gradient[0], 0.5F);
        EXPECT_EQ(two_rivals.gradient[last], 0.5F);
      }
      {
        const Spiked certain(classes, {{0, -k_inf}, {2, -k_inf}, {last, -k_inf}}, text);
        EXPECT_EQ(certain.gradient[0], 0);
        EXPECT_EQ(certain.gradient[last], 0);
        EXPECT_NEAR(certain.loss, classes == 3 ? 0 : std::log(static_cast<double>(classes - 3)), 1e-6);
      }
      {
        const Spiked hopeless(classes, {{1, -k_inf}}, text);
        EXPECT_EQ(hopeless.loss, k_inf);
        EXPECT_EQ(hopeless.gradient[1], -1);
        EXPECT_FLOAT_EQ(hopeless.gradient[last], 1 / static_cast<float>(classes - 1));
      }
      {
        const Spiked absent(classes, {{last, -k_inf}}, text);
        EXPECT_EQ(absent.gradient[last], 0);
        EXPECT_NEAR(absent.loss, std::log(static_cast<double>(classes - 1)), 1e-6);
      }
      for (const auto& spikes : std::vector<std::vector<std::pair<std::size_t, float>>>{
               {{last, k_nan}}, {{0, k_nan}}, {{1, k_nan}}, {{1, k_inf}}, {{1, k_inf}, {last, k_inf}}}) {
        const Spiked broken(classes, spikes, text);
        EXPECT_TRUE(std::isnan(broken.loss));
        for (const float g : broken.gradient) EXPECT_TRUE(std::isnan(g));
      }
    }
}

/// Five rows for any loss of the family, with features and a head.
template <class T>
struct AnyLoss {
  static constexpr std::int64_t k_rows = 5, k_width = 3;
  Problem<T> problem;
  Loss loss;
  std::vector<double> features, weight, bias, losses = std::vector<double>(k_rows), feature_gradient;
  std::vector<T> gradient;
  double value = 0;

  AnyLoss(const std::string& text, std::int64_t classes) : problem(k_rows, classes), loss(problem.loss(text)) {
    loss.set_epoch(9, 10);
    for (std::size_t k = 0; k < problem.logits.size(); ++k)
      problem.logits[k] = narrowed<T>(0.9 * std::sin(static_cast<double>(k)));
    for (std::int64_t k = 0; k < k_rows * k_width; ++k) features.push_back(std::cos(static_cast<double>(k)));
    for (std::int64_t k = 0; k < classes * k_width; ++k) weight.push_back(std::sin(static_cast<double>(3 * k)));
    bias.resize(static_cast<std::size_t>(classes));
    loss.apply_update(loss.collect_update(problem.view(), batch()));
  }
  T& at(std::int64_t row, std::int64_t j) {
    return problem.logits[static_cast<std::size_t>(row * problem.classes + j)];
  }
  LossBatch batch() {
    return {.labels = problem.labels,
            .ignore_index = -100,
            .losses = losses,
            .features = {.features = {features.data(), k_rows, k_width},
                         .head_weight = {weight.data(), problem.classes, k_width},
                         .head_bias = bias}};
  }
  void run() {
    gradient.assign(problem.logits.size(), narrowed<T>(42));
    feature_gradient.assign(features.size(), 42);
    LossBatch wanted = batch();
    wanted.features.gradient = {feature_gradient.data(), k_rows, k_width};
    value = loss.evaluate(problem.view(), wanted, {gradient.data(), k_rows, problem.classes});
  }
  /// Number of NaNs in a row's gradient.
  std::int64_t nans(std::int64_t row) const {
    const auto begin = gradient.begin() + row * problem.classes;
    return std::count_if(begin, begin + problem.classes, [](T g) { return std::isnan(widen(g)); });
  }
};

/// All losses, and the other code paths that keys select.
std::vector<std::string> all_losses() {
  std::vector<std::string> all;
  for (const LossDefinition& definition : family()) all.emplace_back(definition.name);
  for (const char* more : {"elm:placement=rival", "mm:variant=ldam", "dbm:base=bs", "arcface:variant=opensphere",
                           "cb:kind=sigmoid", "cb:kind=focal", "kps:scaling=label", "eql:kind=sigmoid", "tam:base=bs",
                           "lmd:norm=l1", "focal:gamma=0.5", "focal:gamma=0", "las:head=0,tail=0", "ce+inverse"})
    all.emplace_back(more);
  return all;
}

template <class T>
void expect_overflow_is_seen() {
  for (const std::string& text : all_losses())
    for (const std::int64_t classes : {2, 3, 16, 17, 100, 5000}) {
      if (classes == 5000 && text.starts_with("tam")) continue;  // its margins compare all pairs of classes
      SCOPED_TRACE(fmt::format("{} with {} classes", text, classes));
      const AnyLoss<T> usual(text, classes);
      const std::int64_t label = usual.problem.labels[1], wrong = label == classes - 1 ? 0 : classes - 1;
      const bool batch_term = static_cast<bool>(usual.loss.hooks().batch_term);
      const auto run = [&](std::int64_t j, float z) {
        AnyLoss<T> of = usual;
        of.at(1, j) = narrowed<T>(static_cast<double>(z));
        of.run();
        return of;
      };
      for (const auto& [j, z] : {std::pair(label, k_inf), std::pair(label, k_nan), std::pair(wrong, k_nan),
                                 std::pair(std::int64_t{0}, k_nan), std::pair(classes / 2, k_nan)}) {
        const AnyLoss<T> broken = run(j, z);
        EXPECT_TRUE(std::isnan(broken.value)) << z << " at " << j;
        EXPECT_TRUE(std::isnan(broken.losses[1])) << z << " at " << j;
        EXPECT_EQ(broken.nans(1), classes) << z << " at " << j;
        for (const std::int64_t i : {0, 2, 3, 4}) {
          EXPECT_TRUE(std::isfinite(broken.losses[static_cast<std::size_t>(i)]));
          EXPECT_TRUE(batch_term || broken.nans(i) == 0) << "a NaN in another row";
        }
      }
      EXPECT_FALSE(std::isfinite(run(wrong, k_inf).losses[1]));
      EXPECT_FALSE(std::isfinite(run(wrong, k_inf).value));

      if (usual.loss.spec().definition().takes_masks && !detail::is_smoothed(usual.loss.params())) {
        const AnyLoss<T> masked = run(wrong, -k_inf);
        EXPECT_TRUE(std::isfinite(masked.value)) << "a masked class";
        EXPECT_EQ(masked.nans(1), 0);
        EXPECT_EQ(widen(masked.gradient[static_cast<std::size_t>(classes + wrong)]), 0);
      }

      AnyLoss<T> ignored = usual;
      ignored.problem.labels[1] = -100;
      ignored.at(1, label) = narrowed<T>(static_cast<double>(k_inf));
      ignored.at(1, wrong) = narrowed<T>(static_cast<double>(k_nan));
      for (std::int64_t k = 0; k < AnyLoss<T>::k_width; ++k)
        ignored.features[static_cast<std::size_t>(AnyLoss<T>::k_width + k)] = k_nan;
      ignored.run();
      EXPECT_TRUE(std::isfinite(ignored.value)) << "an ignored row";
      for (std::int64_t j = 0; j < classes; ++j)
        EXPECT_EQ(widen(ignored.gradient[static_cast<std::size_t>(classes + j)]), 0);
      for (const double g : ignored.feature_gradient) EXPECT_TRUE(std::isfinite(g)) << "an ignored row's feature";
    }
}

TEST_P(Kernel, AnOverflowIsSeenInEveryLossAndAMaskIsNone) {
  expect_overflow_is_seen<float>();
  expect_overflow_is_seen<double>();
  expect_overflow_is_seen<BFloat16>();
  expect_overflow_is_seen<Half>();
}

TEST_P(Kernel, AFeatureThatOverflowsIsSeen) {
  for (const char* text : {"ib", "ib-focal", "dro-lt", "lmd"})
    for (const float bad : {k_inf, k_nan}) {
      AnyLoss<float> of(text, 20);
      of.features[4] = static_cast<double>(bad);
      of.run();
      EXPECT_FALSE(std::isfinite(of.value)) << text << ' ' << bad;
    }
}

TEST_P(Kernel, TiesOfTheRivalGoToTheLowestIndex) {
  for (const std::int64_t classes : {5, 16, 40, 9000})
    for (const std::int64_t label : {std::int64_t{0}, std::int64_t{3}, classes - 1}) {
      std::vector<std::int64_t> counts(static_cast<std::size_t>(classes), 1000);
      const std::int64_t first = label == 0 ? 1 : 0;
      counts[static_cast<std::size_t>(first)] = 10;
      const std::vector<float> logits(counts.size(), 0.25F);
      const ClassCounts class_counts(counts);
      const auto D = class_counts.ldam_margins(0.5);
      const double margin = D[static_cast<std::size_t>(label)] - D[static_cast<std::size_t>(first)];
      const double distance = std::log(static_cast<double>(classes - 1)) + 30 * margin;
      const std::vector<std::int64_t> labels = {label};
      EXPECT_NEAR(
          Loss(LossSpec::parse("elm"), class_counts).evaluate<float>({logits.data(), 1, classes}, {.labels = labels}),
          std::fmax(distance, 0) + std::log1p(std::exp(-std::fabs(distance))), 1e-6);
    }
}

TEST_P(Kernel, ACommonOffsetChangesNothing) {
  for (const char* text : {"elm:lambda=0.5", "bs", "la:tau=1.5"})
    for (const std::int64_t classes : {10, 100, 5000}) {
      Problem<float> problem(9, classes), shifted(9, classes);
      for (float& z : problem.logits) z = std::round(z * 512) / 512;
      for (std::size_t k = 0; k < shifted.logits.size(); ++k) shifted.logits[k] = problem.logits[k] + 1e4F;
      std::vector<float> gradient(problem.logits.size()), same(problem.logits.size());
      const Loss loss = problem.loss(text);
      EXPECT_EQ(loss.evaluate<float>(problem.view(), {.labels = problem.labels}, {gradient.data(), 9, classes}),
                loss.evaluate<float>(shifted.view(), {.labels = problem.labels}, {same.data(), 9, classes}));
      EXPECT_TRUE(same_bits(gradient, same));
    }
}

TEST_P(Kernel, TrueClassGradientKeepsItsDigitsInBfloat16) {
  for (const std::int64_t classes : {10, 100})
    for (const double p : {0.9, 0.99, 0.999, 1 - 1e-7, 1e-30}) {
      // The rival has probability 1 - p; the others are negligible. The logit is bfloat16, so p follows from its
      // rounded value.
      std::vector<BFloat16> logits(static_cast<std::size_t>(classes), narrowed<BFloat16>(-200));
      logits[1] = narrowed<BFloat16>(0);
      logits[2] = narrowed<BFloat16>(std::log(p / (1 - p)));
      const double q = 1 / (1 + std::exp(widen(logits[2])));
      const std::vector<std::int64_t> labels = {2};
      std::vector<BFloat16> gradient(logits.size());
      const Loss ce(LossSpec::parse("ce"), ClassCounts(std::vector<std::int64_t>(logits.size(), 5)));
      const double loss =
          ce.evaluate<BFloat16>({logits.data(), 1, classes}, {.labels = labels}, {gradient.data(), 1, classes});
      EXPECT_NEAR(widen(gradient[2]) / -q, 1, 0x1p-8) << p;
      EXPECT_NEAR(widen(gradient[1]) / q, 1, 0x1p-8) << p;
      EXPECT_NEAR(loss / std::log1p(std::exp(-widen(logits[2]))), 1, 1e-6) << p;
    }
}

/// Largest error, in ulp of the result, beyond the bound documented for ScaledExp; negative if all are within it.
template <class A>
double worst_excess(void (*exp_of)(double, const A*, A*, std::int64_t), double scale, double lowest, bool fused) {
  double worst = -1e9;
  const std::int64_t n = 200000;
  std::vector<A> x(static_cast<std::size_t>(n)), result(x.size());
  Stream stream(3, "exp");
  for (std::int64_t i = 0; i < n; ++i)  // a grid over the whole domain, and small numbers of every magnitude
    x[static_cast<std::size_t>(i)] =
        static_cast<A>(i % 2 == 0 ? lowest / scale * static_cast<double>(i) / static_cast<double>(n)
                                  : -std::ldexp(1 + stream.uniform(), -static_cast<int>(stream.below(40))) / scale);
  exp_of(scale, x.data(), result.data(), n);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double expected = std::exp(static_cast<long double>(scale) * static_cast<long double>(x[i]));
    const auto ulp =
        static_cast<long double>(std::numeric_limits<A>::epsilon()) * std::exp2(std::floor(std::log2(expected)));
    const auto error = static_cast<double>(std::fabs(static_cast<long double>(result[i]) - expected) / ulp);
    const double allowed = 1 + std::fabs(static_cast<double>(std::log2(expected))) * (fused ? 0.8 : 1.6);
    worst = std::max(worst, error - allowed);
  }
  return worst;
}

TEST_P(Kernel, ExponentialIsWithinItsStatedError) {
  const detail::RowKernels& kernels = detail::row_kernels();
  for (const double scale : {1.0, 30.0, 0.7}) {
    EXPECT_LE(worst_excess<float>(kernels.exp_f32, scale, -87, fused()), 0) << scale;
    EXPECT_LE(worst_excess<double>(kernels.exp_f64, scale, -708, fused()), 0) << scale;
  }
  const float x[] = {0, -88.5F, -1000, -3e38F, -k_inf, k_nan};
  float result[6];
  kernels.exp_f32(1, x, result, 6);
  EXPECT_EQ(result[0], 1);
  for (int i = 1; i < 5; ++i) EXPECT_EQ(result[i], 0);
  EXPECT_TRUE(std::isnan(result[5]));
}

TEST_P(Kernel, LeavesTheFloatingPointEnvironmentAlone) {
  const Problem<float> problem(20, 100);
  const Loss loss = problem.loss("elm");
  const int rounding = std::fegetround();
#if defined(__x86_64__)
  const unsigned control = _mm_getcsr() & ~0x3fU;
#endif
  loss.evaluate<float>(problem.view(), {.labels = problem.labels});
  EXPECT_EQ(std::fegetround(), rounding);
#if defined(__x86_64__)
  EXPECT_EQ(_mm_getcsr() & ~0x3fU, control);
#endif
}

TEST_P(Kernel, ANanIsANanUnderAngularMarginsToo) {
  for (const char* text : {"sphereface", "arcface", "arcface:variant=opensphere", "dbm"}) {
    Problem<float> problem(2, 5, 0.1);
    problem.logits[static_cast<std::size_t>(problem.labels[0])] = k_nan;
    std::vector<double> losses(2);
    problem.loss(text).evaluate<float>(problem.view(), {.labels = problem.labels, .losses = losses});
    EXPECT_TRUE(std::isnan(losses[0])) << text;
    EXPECT_TRUE(std::isfinite(losses[1])) << text;
  }
}

#if defined(__x86_64__)
/// Such numbers are slow to process.
TEST_P(Kernel, NoGradientIsBelowTheSmallestNormalNumber) {
  const Problem<float> problem(200, 100, 3);
  std::vector<float> gradient(problem.logits.size());
  problem.loss("elm:scale=10").evaluate<float>(problem.view(), {.labels = problem.labels}, {gradient.data(), 200, 100});
  const auto kinds = [&](int kind) {
    return std::count_if(gradient.begin(), gradient.end(), [kind](float g) { return std::fpclassify(g) == kind; });
  };
  EXPECT_EQ(kinds(FP_SUBNORMAL), 0);
  EXPECT_GT(kinds(FP_ZERO), 0);
  EXPECT_GT(kinds(FP_NORMAL), 10'000);
}
#endif

INSTANTIATE_TEST_SUITE_P(Targets, Kernel, ::testing::ValuesIn(available_targets()),
                         [](const auto& instance) { return instance.param; });

TEST(Target, AnUnknownOneIsRefusedWithTheList) {
  try {
    use_target("pentium");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("choose one of"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find(ULMUS_LAST_TARGET), std::string::npos);
  }
}

TEST(LossBatch, IgnoredAndWeightlessRowsCostNothingWhateverIsInThem) {
  for (const std::int64_t classes : {3, 20}) {
    Problem<float> problem(5, classes);
    std::vector<double> weights = {1, 0.5, 0, 2, 1}, losses(5);
    problem.labels[1] = -100;
    problem.logits[static_cast<std::size_t>(classes)] = k_nan;
    problem.logits[static_cast<std::size_t>(2 * classes)] = k_inf;
    std::vector<float> gradient(problem.logits.size(), 42);
    const Loss loss = problem.loss("elm:lambda=0.5");
    LossBatch batch{.labels = problem.labels, .sample_weights = weights, .ignore_index = -100, .losses = losses};
    const double weighted = loss.evaluate<float>(problem.view(), batch, {gradient.data(), 5, classes});
    for (std::int64_t j = 0; j < classes; ++j) {
      EXPECT_EQ(gradient[static_cast<std::size_t>(classes + j)], 0);
      EXPECT_EQ(gradient[static_cast<std::size_t>(2 * classes + j)], 0);
    }
    const double sum = losses[0] + losses[3] + losses[4];
    EXPECT_EQ(losses[1], 0);
    EXPECT_EQ(losses[2], 0);
    EXPECT_NEAR(weighted, sum / 4, 1e-12 * sum);
    batch.reduction = Reduction::mean;
    EXPECT_NEAR(loss.evaluate<float>(problem.view(), batch), sum / 4, 1e-12 * sum);  // the row with weight 0 counts
    batch.reduction = Reduction::none;
    EXPECT_NEAR(loss.evaluate<float>(problem.view(), batch), sum, 1e-12 * sum);
  }
}

TEST(LossBatch, SampleWeightsMultiplyClassWeights) {
  const Problem<double> problem(8, 4);
  const Loss plain = problem.loss("ce"), balanced = problem.loss("ce+inverse");
  std::vector<double> weights;
  for (const auto y : problem.labels) weights.push_back(balanced.class_weights()[static_cast<std::size_t>(y)]);
  EXPECT_EQ(plain.evaluate<double>(problem.view(), {.labels = problem.labels, .sample_weights = weights}),
            balanced.evaluate<double>(problem.view(), {.labels = problem.labels}));
}

TEST(LossBatch, RefusesWhatIsNoWeight) {
  const Problem<double> problem(2, 4);
  for (const double bad : {-1.0, static_cast<double>(k_nan), static_cast<double>(k_inf)}) {
    const std::vector<double> weights = {1, bad};
    EXPECT_THROW(
        problem.loss("ce").evaluate<double>(problem.view(), {.labels = problem.labels, .sample_weights = weights}),
        Error);
  }
  EXPECT_THROW(problem.loss("ce").evaluate<double>(problem.view(), {.labels = problem.labels, .threads = -1}), Error);
}

TEST(LossBatch, ReachesBeyondTwoToThe31Elements) {
  // Three rows a billion elements apart; the pages in between are never touched.
  constexpr std::int64_t stride = std::int64_t{1} << 30, classes = 100;
  const std::unique_ptr<void, decltype(&std::free)> memory(std::malloc((2 * stride + classes) * sizeof(BFloat16)),
                                                           &std::free);
  if (memory == nullptr) GTEST_SKIP() << "no 4 GB of address space";
  const auto logits = static_cast<BFloat16*>(memory.get());
  Problem<BFloat16> problem(3, classes);
  for (std::int64_t i = 0; i < 3; ++i) std::copy_n(problem.logits.begin() + i * classes, classes, logits + i * stride);
  const Loss loss = problem.loss("elm");
  const double expected =
      loss.evaluate<BFloat16>(problem.view(), {.labels = problem.labels}, {problem.logits.data(), 3, classes});
  EXPECT_EQ(
      loss.evaluate<BFloat16>({logits, 3, classes, stride}, {.labels = problem.labels}, {logits, 3, classes, stride}),
      expected);
  EXPECT_EQ(std::memcmp(logits + 2 * stride, problem.logits.data() + 2 * classes, classes * sizeof(BFloat16)), 0);
}

TEST(LossBatch, TenMillionClasses) {
  constexpr std::int64_t classes = 10'000'000;
  std::vector<float> logits(classes, 0.5F);
  logits[7] = 1.5F;
  const std::vector<std::int64_t> labels = {classes - 1};
  const Loss ce(LossSpec::parse("ce"), ClassCounts(std::vector<std::int64_t>(classes, 1)));
  const double expected = std::log(static_cast<double>(classes) - 1 + std::exp(1.0));
  EXPECT_NEAR(
      ce.evaluate<float>({logits.data(), 1, classes}, {.labels = labels}, {logits.data(), 1, classes}) / expected, 1,
      1e-8);
  EXPECT_NEAR(std::accumulate(logits.begin(), logits.end(), 0.0), 0, 1e-6);
}

TEST(Float16, EveryPatternReadsBack) {
  for (std::uint32_t pattern = 0; pattern < 0x10000U; ++pattern) {
    BFloat16 b;
    Half h;
    b.bits = h.bits = static_cast<std::uint16_t>(pattern);
    const auto wide_b = static_cast<float>(b), wide_h = static_cast<float>(h);
    if (std::isnan(wide_b))
      EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(wide_b))));
    else
      EXPECT_EQ(BFloat16(wide_b).bits, b.bits);
    if (std::isnan(wide_h))
      EXPECT_TRUE(std::isnan(static_cast<float>(Half(wide_h))));
    else
      EXPECT_EQ(Half(wide_h).bits, h.bits);
  }
  EXPECT_EQ(static_cast<float>(Half(65504.0F)), 65504.0F);
  EXPECT_EQ(static_cast<float>(Half(0x1p-24F)), 0x1p-24F);
}

TEST(Float16, RoundsToTheNearestTiesToEven) {
  for (std::uint32_t pattern = 0; pattern < 0x7bffU; ++pattern) {
    Half low, high;
    low.bits = static_cast<std::uint16_t>(pattern);
    high.bits = static_cast<std::uint16_t>(pattern + 1);
    const float middle = (static_cast<float>(low) + static_cast<float>(high)) / 2;
    const auto even = static_cast<std::uint16_t>(pattern % 2 == 0 ? pattern : pattern + 1);
    EXPECT_EQ(Half(middle).bits, even);
    EXPECT_EQ(Half(std::nextafter(middle, 0.0F)).bits, low.bits);
    EXPECT_EQ(Half(std::nextafter(middle, 1e9F)).bits, high.bits);
    EXPECT_EQ(Half(-middle).bits, even | 0x8000U);
  }
  EXPECT_EQ(Half(65519.0F).bits, 0x7bff);
  EXPECT_EQ(Half(65520.0F).bits, 0x7c00);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f808000U)).bits, 0x3f80);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f818000U)).bits, 0x3f82);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f808001U)).bits, 0x3f81);
}

}  // namespace
}  // namespace ulmus
