#include "ulmus/train/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

LearningRateSchedule::Kind LearningRateSchedule::parse_kind(std::string_view name) {
  static const std::vector<std::string> names = {"step", "cosine", "constant", "restart"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw Error(ErrorKind::usage, fmt::format("unknown schedule '{}'; {}", name, suggest(name, names)));
  return static_cast<Kind>(found - names.begin());
}

double learning_rate(const LearningRateSchedule& schedule, std::int64_t epoch, std::int64_t epochs, std::int64_t step,
                     std::int64_t steps) {
  const auto total = static_cast<double>(epochs);
  if (schedule.kind == LearningRateSchedule::Kind::step) {
    const auto e = static_cast<double>(epoch + 1);
    const double warmup = std::round(schedule.warmup * total);
    if (e <= warmup) return schedule.base * e / warmup;
    if (e > 0.9 * total) return schedule.base * 0.0001;
    if (e > 0.8 * total) return schedule.base * 0.01;
    return schedule.base;
  }
  const double position = static_cast<double>(epoch) + static_cast<double>(step) / static_cast<double>(steps);
  const double warmup = schedule.warmup * total;
  const double rise =
      std::min(1.0, (position + 1 / static_cast<double>(steps)) / std::max(warmup, 1 / static_cast<double>(steps)));
  if (schedule.kind == LearningRateSchedule::Kind::constant) return schedule.base * rise;
  const bool parted = schedule.kind == LearningRateSchedule::Kind::restart && schedule.restart_epoch > 0;
  const double begin = parted && epoch >= schedule.restart_epoch ? static_cast<double>(schedule.restart_epoch) : 0;
  const double end = parted && epoch < schedule.restart_epoch ? static_cast<double>(schedule.restart_epoch) : total;
  return schedule.base * rise * 0.5 * (1 + std::cos(std::numbers::pi * (position - begin) / (end - begin)));
}

}  // namespace ulmus
