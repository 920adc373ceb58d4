#include "ulmus/train/schedule.hpp"

#include <gtest/gtest.h>

#include "golden.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus {
namespace {

using nlohmann::json;
using Kind = LearningRateSchedule::Kind;

TEST(StepSchedule, IsThePublishedOneOver200Epochs) {
  int compared = 0;
  for (const json& entry : golden::cases("schedules")) {
    if (entry["schedule"] != "ldam_drw_cifar") continue;
    const std::int64_t epochs = entry["epochs"];
    for (std::int64_t e = 0; e < epochs; ++e)
      EXPECT_DOUBLE_EQ(learning_rate({.kind = Kind::step, .base = entry["base_lr"]}, e, epochs, 3, 10),
                       entry["lr"][static_cast<std::size_t>(e)].get<double>())
          << entry["id"] << " epoch " << e;
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(1));
}

TEST(DeferredReweighting, IsThePublishedOneOver200Epochs) {
  int compared = 0;
  for (const json& entry : golden::cases("schedules")) {
    if (entry["schedule"] != "drw") continue;
    Loss loss(LossSpec::parse("ce+drw"), ClassCounts(entry["counts"].get<std::vector<std::int64_t>>()));
    for (const json& point : entry["points"]) {
      loss.set_epoch(point["epoch"].get<std::int64_t>(), 200);
      const auto expected = point["weights"].get<std::vector<double>>();
      for (std::size_t j = 0; j < expected.size(); ++j)
        EXPECT_TRUE(golden::near(loss.class_weights().empty() ? 1 : loss.class_weights()[j], expected[j]))
            << entry["id"] << " epoch " << point["epoch"];
      ++compared;
    }
  }
  EXPECT_GE(compared, golden::at_least(3));
}

TEST(StepSchedule, AShortRunHasTheShapeOfALongOne) {
  const LearningRateSchedule schedule{.kind = Kind::step, .base = 1};
  const auto rate = [&](std::int64_t epoch) { return learning_rate(schedule, epoch, 20, 0, 1); };
  EXPECT_EQ(rate(0), 1);  // round(0.025 * 20) = 1 epoch of warm-up ends at the base rate
  EXPECT_EQ(rate(15), 1);
  EXPECT_EQ(rate(16), 0.01);
  EXPECT_EQ(rate(17), 0.01);
  EXPECT_EQ(rate(18), 0.0001);
}

TEST(CosineSchedule, RisesThenFallsToNothing) {
  const LearningRateSchedule schedule{.kind = Kind::cosine, .base = 0.1, .warmup = 0.1};
  const auto rate = [&](std::int64_t epoch, std::int64_t step) {
    return learning_rate(schedule, epoch, 10, step, 100);
  };
  EXPECT_GT(rate(0, 0), 0);
  EXPECT_LT(rate(0, 0), 0.0011);
  EXPECT_LT(rate(0, 50), rate(0, 99));
  EXPECT_GT(rate(1, 0), rate(5, 0));
  EXPECT_NEAR(rate(5, 0), 0.05, 1e-12);
  EXPECT_LT(rate(9, 99), 1e-5);
}

TEST(ConstantSchedule, StaysAfterTheWarmUp) {
  const LearningRateSchedule schedule{.kind = Kind::constant, .base = 0.1, .warmup = 0};
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(learning_rate(schedule, epoch, 3, 0, 7), 0.1);
}

TEST(ParseKind, OffersTheNearestName) {
  EXPECT_EQ(LearningRateSchedule::parse_kind("cosine"), Kind::cosine);
  EXPECT_THROW(LearningRateSchedule::parse_kind("cosin"), Error);
}

TEST(RestartSchedule, IsTwoCosines) {
  const LearningRateSchedule schedule{.kind = Kind::restart, .base = 0.1, .warmup = 0, .restart_epoch = 8};
  const LearningRateSchedule cosine{.kind = Kind::cosine, .base = 0.1, .warmup = 0};
  for (std::int64_t epoch = 0; epoch < 10; ++epoch)
    for (std::int64_t step = 0; step < 3; ++step)
      EXPECT_NEAR(learning_rate(schedule, epoch, 10, step, 3),
                  epoch < 8 ? learning_rate(cosine, epoch, 8, step, 3) : learning_rate(cosine, epoch - 8, 2, step, 3),
                  1e-15);
  EXPECT_EQ(learning_rate(schedule, 8, 10, 0, 3), 0.1);
  const LearningRateSchedule one_part{.kind = Kind::restart, .base = 0.1, .warmup = 0.1};
  const LearningRateSchedule warm_cosine{.kind = Kind::cosine, .base = 0.1, .warmup = 0.1};
  for (std::int64_t epoch = 0; epoch < 10; ++epoch)
    EXPECT_EQ(learning_rate(one_part, epoch, 10, 1, 3), learning_rate(warm_cosine, epoch, 10, 1, 3));
}

TEST(RunOptions, TomlHoldsEveryOptionThatIsSet) {
  RunOptions options;
  options.data = "folder:a \"quoted\\name\"";
  const std::string toml = to_toml(options);
  EXPECT_NE(toml.find("data = \"folder:a \\\"quoted\\\\name\\\"\"\n"), std::string::npos) << toml;
  int lines = 0;
  visit_options(options, [&](const std::string& name, const auto& value, const char*) {
    bool is_set = true;
    if constexpr (requires { value.has_value(); }) is_set = value.has_value();
    EXPECT_EQ(toml.find("\n" + name + " = ") != std::string::npos || toml.starts_with(name + " = "), is_set) << name;
    lines += is_set;
  });
  EXPECT_EQ(std::count(toml.begin(), toml.end(), '\n'), lines);
}

}  // namespace
}  // namespace ulmus
