// The state that a loss keeps between batches: validation and updates.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "loss/batch_checks.hpp"
#include "loss/batch_view.hpp"
#include "loss/weighting.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

/// Bound of the counts in a state and in an update, and of the scores of loce: every integer up to it is exact in
/// double.
constexpr double k_largest_count = 0x1p53;

bool is_count(double value) { return value >= 0 && value <= k_largest_count; }

}  // namespace

std::int64_t Loss::state_size(std::int64_t feature_width) const {
  if (feature_width < 0)
    throw Error(ErrorKind::usage, fmt::format("the feature width is {}, expected 0 or more", feature_width));
  if (!hooks_.class_means) return static_cast<std::int64_t>(hooks_.initial_state.size());
  if (feature_width >= std::numeric_limits<std::ptrdiff_t>::max() / counts_.classes() / std::int64_t{sizeof(double)})
    throw Error(ErrorKind::usage, fmt::format("features of width {} of {} classes are larger than memory can be",
                                              feature_width, counts_.classes()));
  return counts_.classes() * (1 + feature_width);
}

std::int64_t Loss::width_of(std::int64_t size, std::string_view what) const {
  const std::int64_t classes = counts_.classes();
  if (size < 2 * classes || size % classes != 0)
    throw Error(ErrorKind::data,
                fmt::format("{} of loss '{}' has {} values, expected for each of {} classes a count and a feature of "
                            "at least one value",
                            what, spec_.text(), size, classes));
  return size / classes - 1;
}

void Loss::check_feature_width(std::int64_t feature_width) const {
  if (state_.feature_width != 0 && feature_width != state_.feature_width)
    throw Error(ErrorKind::data,
                fmt::format("the state of loss '{}' holds means of features of width {}, but features of width {} came",
                            spec_.text(), state_.feature_width, feature_width));
}

void Loss::check_state_size(std::int64_t size) const {
  if (hooks_.class_means) {
    if (size != 0) width_of(size, "the state");
  } else if (size != state_size(0)) {
    throw Error(ErrorKind::data,
                fmt::format("the state of loss '{}' has {} values, expected {}", spec_.text(), size, state_size(0)));
  }
}

void Loss::set_state(LossState state) {
  const auto size = static_cast<std::int64_t>(state.values.size());
  check_state_size(size);
  const bool means = hooks_.class_means;
  state.feature_width = means && size != 0 ? width_of(size, "the state") : 0;
  for (std::size_t k = 0; k < state.values.size(); ++k) {
    const bool count = !means || static_cast<std::int64_t>(k) < counts_.classes();
    if (count ? !is_count(state.values[k]) : !std::isfinite(state.values[k]))
      throw Error(ErrorKind::data, fmt::format("value {} of the state of loss '{}' is {}, expected {}", k, spec_.text(),
                                               state.values[k], count ? "a number from 0 to 2^53" : "a finite number"));
  }
  state_ = std::move(state);
}

template <class T>
std::vector<double> Loss::collect_update(MatrixView<const T> logits, const LossBatch& batch) const {
  if (!is_stateful()) return {};
  detail::check_batch<T>(logits, batch, {}, counts_.classes());
  detail::check_needs(spec_.definition(), batch);
  check_feature_width(batch.features.features.columns);
  const std::vector<std::int64_t> labels = detail::counted_labels(batch, {});
  const BatchView all = detail::make_batch_view(*this, logits, batch, labels);
  return hooks_.collect_update(all, state_);
}

std::int64_t Loss::delta_size(std::int64_t feature_width) const {
  const std::int64_t size = state_size(feature_width);
  if (!is_stateful() || hooks_.class_means) return size;
  return static_cast<std::int64_t>(hooks_.collect_update({.rows = 0, .classes = counts_.classes()}, state_).size());
}

void Loss::apply_update(std::span<const double> delta) {
  if (!is_stateful()) return;
  const auto classes = static_cast<std::size_t>(counts_.classes());
  const auto size = static_cast<std::int64_t>(delta.size());
  const auto check = [&](bool right, std::size_t k) {
    if (!right)
      throw Error(ErrorKind::data, fmt::format("value {} of an update of the state of loss '{}' is {}, expected what "
                                               "measuring a batch gives",
                                               k, spec_.text(), delta[k]));
  };
  if (hooks_.class_means) {
    const std::int64_t width = width_of(size, "an update of the state");
    check_feature_width(width);
    for (std::size_t c = 0; c < classes; ++c) {
      check(is_count(delta[c]), c);
      if (delta[c] == 0) continue;
      for (std::size_t k = classes + c * static_cast<std::size_t>(width), end = k + static_cast<std::size_t>(width);
           k < end; ++k)
        check(std::isfinite(delta[k] / delta[c]), k);
    }
  } else {
    if (size != delta_size(0))
      throw Error(ErrorKind::data, fmt::format("an update of the state of loss '{}' has {} values, expected {}",
                                               spec_.text(), size, delta_size(0)));
    for (std::size_t k = 0; k < delta.size(); ++k) check(is_count(delta[k]), k);
  }
  hooks_.apply_update(state_, delta);
}

template std::vector<double> Loss::collect_update(MatrixView<const float>, const LossBatch&) const;
template std::vector<double> Loss::collect_update(MatrixView<const double>, const LossBatch&) const;
template std::vector<double> Loss::collect_update(MatrixView<const BFloat16>, const LossBatch&) const;
template std::vector<double> Loss::collect_update(MatrixView<const Half>, const LossBatch&) const;

}  // namespace ulmus
