#include "ulmus/eval/posthoc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

struct Known {
  PostHoc::Kind kind;
  const char* name;
  double default_tau;
};
constexpr std::array k_known = {Known{PostHoc::Kind::none, "none", 0}, Known{PostHoc::Kind::la, "la", 1},
                                Known{PostHoc::Kind::mla, "mla", 0.65}, Known{PostHoc::Kind::tau_norm, "tau-norm", 1}};

/// The training prior pi; every class must have samples.
std::vector<double> positive_prior(const ClassCounts& counts, const PostHoc& posthoc) {
  const auto values = counts.values();
  if (const auto empty = std::ranges::find(values, 0); empty != values.end())
    throw Error(ErrorKind::data, fmt::format("'{}' needs the prior of every class, but class {} has no training sample",
                                             posthoc.text(), empty - values.begin()));
  return counts.prior();
}

}  // namespace

void ScoreTransform::apply(std::span<const float> logits, std::span<double> scores) const {
  for (std::size_t j = 0; j < logits.size(); ++j)
    scores[j] = scale / temperature * (slope.empty() ? 1 : slope[j]) * static_cast<double>(logits[j]) +
                (offset.empty() ? 0 : offset[j]);
}

void ScoreTransform::probabilities(std::span<const float> logits, std::span<double> probabilities) const {
  apply(logits, probabilities);
  const double top = *std::ranges::max_element(probabilities);
  double sum = 0;
  for (double& p : probabilities) sum += p = std::exp(p - top);
  for (double& p : probabilities) p /= sum;
}

void ScoreTransform::adjust(MatrixView<float> logits) const {
  if (slope.empty() && offset.empty()) return;
  std::vector<double> scores(static_cast<std::size_t>(logits.columns));
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const std::span row(logits.row(i), scores.size());
    apply(row, scores);
    std::ranges::transform(scores, row.begin(), [&](double u) { return static_cast<float>(u * temperature / scale); });
  }
}

PostHoc PostHoc::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string name(text.substr(0, colon));
  std::vector<std::string> names;
  for (const Known& known : k_known) names.emplace_back(known.name);
  const auto found = std::ranges::find(names, name);
  if (found == names.end())
    throw_usage(fmt::format("unknown {} '{}'; {}", option_name("posthoc"), printable(name), suggest(name, names)));
  const Known& known = k_known[static_cast<std::size_t>(found - names.begin())];
  PostHoc posthoc{.kind = known.kind, .tau = known.default_tau};
  if (colon == std::string_view::npos) return posthoc;
  const std::string_view setting = text.substr(colon + 1);
  if (posthoc.kind == Kind::none || !setting.starts_with("tau="))
    throw_usage(fmt::format("'{}' is no {}; write for example la:tau=1", printable(text), option_name("posthoc")));
  posthoc.tau = parse_number(setting.substr(4), fmt::format("tau in {}", option_name("posthoc", printable(text))));
  if (posthoc.tau < 0)
    throw_usage(fmt::format("tau in {} is negative, expected at least 0", option_name("posthoc", printable(text))));
  return posthoc;
}

std::string PostHoc::text() const {
  const auto known = std::ranges::find(k_known, kind, &Known::kind);
  return kind == Kind::none ? known->name : fmt::format("{}:tau={}", known->name, format_number(tau));
}

void PostHoc::apply(ScoreTransform& scores, const ClassCounts& train_counts) const {
  if (kind == Kind::la) {
    scores.offset = positive_prior(train_counts, *this);
    for (double& value : scores.offset) value = -tau * std::log(value);
  } else if (kind == Kind::mla) {
    scores.slope = positive_prior(train_counts, *this);
    for (double& value : scores.slope) value = std::pow(value, -tau);
  }
}

void PostHoc::normalise(MatrixView<float> weight) const {
  for (std::int64_t j = 0; j < weight.rows; ++j) {
    const std::span row(weight.row(j), static_cast<std::size_t>(weight.columns));
    double squares = 0;
    for (const float w : row) squares += static_cast<double>(w) * static_cast<double>(w);
    if (squares == 0) continue;
    const double divisor = std::pow(squares, tau / 2);
    for (float& w : row) w = static_cast<float>(static_cast<double>(w) / divisor);
  }
}

}  // namespace ulmus
