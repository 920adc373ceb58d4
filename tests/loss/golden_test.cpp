#include "golden.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

double param(const json& params, const char* name, double otherwise) { return params.value(name, otherwise); }

std::string spec_of(const std::string& loss, const json& params) {
  if (loss == "ldam")
    return fmt::format("ldam:max_margin={},scale={}", param(params, "max_m", 0.5), param(params, "s", 30));
  if (loss == "elm")
    return fmt::format("elm:lambda={},max_margin={},scale={}", param(params, "lambda", 1), param(params, "max_m", 0.5),
                       param(params, "s", 30));
  if (loss == "la") return fmt::format("la:tau={}", param(params, "tau", 1));
  if (loss == "vs") return fmt::format("vs:gamma={},tau={}", param(params, "gamma", 0.3), param(params, "tau", 1));
  if (loss == "cdt" || loss == "focal") return fmt::format("{}:gamma={}", loss, param(params, "gamma", 0.2));
  return loss == "bs" ? "bs" : "ce";
}

/// Narrow types get rounded logits, so their reference is double precision on the rounded logits.
template <class T>
void expect_close_on_narrow(const Loss& loss, const std::vector<double>& logits,
                            const std::vector<std::int64_t>& labels, double unit) {
  const auto rows = static_cast<std::int64_t>(labels.size());
  const std::int64_t classes = loss.counts().classes();
  std::vector<T> narrow;
  std::vector<double> rounded;
  for (const double z : logits) {
    narrow.emplace_back(static_cast<T>(static_cast<float>(z)));
    rounded.push_back(static_cast<double>(static_cast<float>(narrow.back())));
  }
  std::vector<double> expected(logits.size());
  const double value =
      loss.evaluate<double>({rounded.data(), rows, classes}, {.labels = labels}, {expected.data(), rows, classes});
  EXPECT_NEAR(loss.evaluate<T>({narrow.data(), rows, classes}, {.labels = labels}, {narrow.data(), rows, classes}),
              value, 1e-5 * loss.spec().scale() * std::max(1.0, std::fabs(value)));
  for (std::size_t k = 0; k < expected.size(); ++k)
    EXPECT_NEAR(static_cast<double>(static_cast<float>(narrow[k])), expected[k],
                (unit + 3e-5) * std::fabs(expected[k]) + 6.2e-8)
        << k;
}

class Golden : public ::testing::TestWithParam<const char*> {};

TEST_P(Golden, LossAndGradientAreThePublishedOnes) {
  const std::string name = GetParam();
  int compared = 0;
  for (const json& entry : golden::cases(name)) {
    if (entry.value("nonfinite_reference", false)) continue;
    // In released focal code the class weight is inside the probability; ours is outside.
    if (name == "focal" && !entry["class_weights"].is_null()) continue;
    SCOPED_TRACE(entry["id"].get<std::string>());
    Loss loss(LossSpec::parse(spec_of(name, entry["params"])),
              ClassCounts(entry["counts"].get<std::vector<std::int64_t>>()));
    const auto labels = entry["targets"].get<std::vector<std::int64_t>>();
    const auto rows = static_cast<std::int64_t>(labels.size());
    const std::int64_t classes = loss.counts().classes();
    std::vector<double> logits;
    for (const json& row : entry["logits"])
      for (const json& value : row) logits.push_back(value.get<double>());
    const MatrixView<const double> view(logits.data(), rows, classes);

    std::vector<double> losses(labels.size());
    loss.evaluate<double>(view, {.labels = labels, .losses = losses});
    for (std::size_t i = 0; i < losses.size(); ++i)
      EXPECT_TRUE(golden::near(losses[i], entry["per_sample_loss"][i].get<double>())) << "sample " << i;

    if (!entry["class_weights"].is_null()) loss.set_class_weights(entry["class_weights"].get<std::vector<double>>());
    std::vector<double> gradient(logits.size());
    const double value = loss.evaluate<double>(view, {.labels = labels}, {gradient.data(), rows, classes});
    EXPECT_TRUE(golden::near(value, entry["loss"].get<double>()));
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < classes; ++j)
        EXPECT_TRUE(
            golden::near(gradient[static_cast<std::size_t>(i * classes + j)],
                         entry["grad_logits"][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)].get<double>()))
            << "row " << i << " class " << j;

    const std::vector<float> narrow(logits.begin(), logits.end());
    const double narrow_value = loss.evaluate<float>({narrow.data(), rows, classes}, {.labels = labels});
    const double scale = loss.spec().scale();
    EXPECT_NEAR(narrow_value, entry["loss"].get<double>(),
                1e-5 * scale * std::max(1.0, std::fabs(entry["loss"].get<double>())));
    expect_close_on_narrow<float>(loss, logits, labels, 0x1p-24);
    expect_close_on_narrow<BFloat16>(loss, logits, labels, 0x1p-8);
    expect_close_on_narrow<Half>(loss, logits, labels, 0x1p-11);
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(12));
}

INSTANTIATE_TEST_SUITE_P(Loss, Golden,
                         ::testing::Values("ce", "weighted_ce", "ldam", "elm", "bs", "la", "vs", "cdt", "focal"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(GoldenClassStats, WeightsMarginsAndPriorAreThePublishedOnes) {
  int compared = 0;
  for (const json& entry : golden::cases("class_stats")) {
    const ClassCounts counts(entry["counts"].get<std::vector<std::int64_t>>());
    const auto same = [&](const std::string& name, const std::vector<double>& values) {
      if (!entry["outputs"].contains(name)) return;
      const json& expected = entry["outputs"][name];
      ASSERT_EQ(expected.size(), values.size());
      for (std::size_t j = 0; j < values.size(); ++j)
        EXPECT_TRUE(golden::near(values[j], expected[j].get<double>())) << entry["id"] << ' ' << name << ' ' << j;
      ++compared;
    };
    for (const char* beta : {"0.0", "0.9", "0.99", "0.999", "0.9999", "0.99999"})
      same(fmt::format("effective_number_weights_beta_{}", beta), counts.effective_number_weights(std::stod(beta)));
    same("inverse_frequency_weights", counts.inverse_frequency_weights());
    for (const char* margin : {"0.5", "0.3"}) {
      same(fmt::format("ldam_margins_max_m_{}", margin), counts.ldam_margins(std::stod(margin)));
      same(fmt::format("elm_margins_max_m_{}", margin), counts.ldam_margins(std::stod(margin)));
    }
    auto log_prior = counts.prior();
    for (double& p : log_prior) p = std::log(p);
    same("log_prior", log_prior);
  }
  EXPECT_GE(compared, golden::at_least(200));
}

}  // namespace
}  // namespace ulmus
