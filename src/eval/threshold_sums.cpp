#include "eval/threshold_sums.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "eval/divide.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/score_metrics.hpp"

namespace ulmus {
namespace {

using Kind = ThresholdMetric::Kind;

constexpr std::string_view k_at_precision = "recall@precision=";
const std::vector<std::string> k_names = {"f1", "mcc", "balanced", "cost", "recall@precision=0.9"};

}  // namespace

ThresholdMetric ThresholdMetric::parse(std::string_view text) {
  if (text.starts_with(k_at_precision)) {
    const double precision =
        parse_number(text.substr(k_at_precision.size()), fmt::format("the precision in '{}'", printable(text)));
    if (!(precision > 0) || precision > 1)
      throw_usage(fmt::format("the precision in '{}' is not above 0 and at most 1", printable(text)));
    return {.kind = Kind::recall_at_precision, .precision = precision};
  }
  const auto found = std::find(k_names.begin(), k_names.end() - 1, text);
  if (found == k_names.end() - 1)
    throw_usage(fmt::format("unknown metric to maximise '{}'; {}", printable(text), suggest(text, k_names)));
  return {.kind = static_cast<Kind>(found - k_names.begin())};
}

std::string ThresholdMetric::text() const {
  if (kind == Kind::recall_at_precision) return fmt::format("{}{}", k_at_precision, format_number(precision));
  return k_names[static_cast<std::size_t>(kind)];
}

namespace detail {

ThresholdSums::ThresholdSums(const ThresholdMetric& metric, std::vector<double> support,
                             const ThresholdOptions& options)
    : metric_(metric), support_(std::move(support)), factor_(support_.size(), 0) {
  std::optional<std::int64_t> positive = options.positive;
  if (positive && !metric.takes_positive())
    throw_usage(fmt::format("{} is for f1 and recall@precision, not for '{}'; leave it out", option_name("positive"),
                            metric.text()));
  if (positive && (*positive < 0 || *positive >= std::ssize(support_)))
    throw_usage(fmt::format("{} is {}, expected a class from 0 to {}", option_name("positive"), *positive,
                            support_.size() - 1));
  if (metric.takes_positive() && !positive && support_.size() == 2) positive = 1;
  if (metric.kind == Kind::recall_at_precision && !positive)
    throw_usage(fmt::format("'{}' is of one class; name it by {}", metric.text(), option_name("positive")));
  if (metric.kind == Kind::cost && !options.costs)
    throw_usage(fmt::format("'cost' is to be minimised, but there are no costs; give {}", option_name("cost")));

  const double present = static_cast<double>(std::ranges::count_if(support_, [](double n) { return n > 0; }));
  for (std::size_t c = 0; c < support_.size(); ++c)
    if (metric.kind == Kind::f1)
      factor_[c] = positive ? (static_cast<std::int64_t>(c) == *positive ? 1 : 0) : (support_[c] > 0 ? 1 / present : 0);
    else
      factor_[c] = divide(1 / present, support_[c]);
  positive_ = static_cast<std::size_t>(positive.value_or(0));
  samples_ = std::accumulate(support_.begin(), support_.end(), 0.0);
  support2_ = std::inner_product(support_.begin(), support_.end(), support_.begin(), 0.0);
  if (metric.kind == Kind::recall_at_precision && support_[positive_] == 0)
    throw Error(ErrorKind::data, fmt::format("class {} has no samples, so no recall; give samples of it",
                                             options.class_names.empty()
                                                 ? std::to_string(positive_)
                                                 : fmt::format("'{}'", printable(options.class_names[positive_]))));
}

ThresholdSums::Sums ThresholdSums::term(std::size_t of_class, double hits, double predicted) const {
  switch (metric_.kind) {
    case Kind::f1:
      return {factor_[of_class] * divide(2 * hits, predicted + support_[of_class])};
    case Kind::balanced:
      return {factor_[of_class] * hits};
    case Kind::mcc:
      return {hits, predicted * support_[of_class], predicted * predicted};
    case Kind::recall_at_precision:
      return of_class == positive_ ? Sums{hits, predicted} : Sums{};
    case Kind::cost:
      break;
  }
  return {};
}

double ThresholdSums::value(const Sums& sums, double mean_cost) const {
  switch (metric_.kind) {
    case Kind::mcc:
      return matthews_correlation(samples_, sums[0], sums[1], support2_, sums[2]);
    case Kind::recall_at_precision: {
      const double precision = divide(sums[0], sums[1]);
      return precision >= metric_.precision - 1e-12 ? sums[0] / support_[positive_] : precision - 2;
    }
    case Kind::cost:
      return -mean_cost;
    default:
      return sums[0];
  }
}

}  // namespace detail
}  // namespace ulmus
