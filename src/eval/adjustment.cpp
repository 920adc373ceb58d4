#include "ulmus/eval/adjustment.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/temperature.hpp"

namespace ulmus {
namespace {

constexpr std::size_t k_most_listed = 6;

void check(const AdjustmentPlan& plan) {
  if (plan.posthoc.kind != PostHoc::Kind::none && plan.posthoc.kind != PostHoc::Kind::la)
    throw_usage(fmt::format("{} needs the outputs of the head, which scores are not; write la:tau=1",
                            option_name("posthoc", plan.posthoc.text())));
  if (plan.posthoc.kind == PostHoc::Kind::la && !plan.train_counts)
    throw_usage(fmt::format("{} needs the training counts; give {}", option_name("posthoc"), option_name("counts")));
  if (!plan.prior.empty() && plan.trained_prior.empty())
    throw_usage(fmt::format("{} needs the class frequencies that the scores assume; give {}, or {}",
                            option_name("prior"), option_name("counts"), option_name("trained_prior")));
  if (plan.posthoc.kind == PostHoc::Kind::la && !plan.prior.empty())
    throw_usage(fmt::format("{} and {} both correct for the class frequencies; leave one out", option_name("posthoc"),
                            option_name("prior")));
  if (plan.positive && plan.class_names.size() != 2 && !(plan.maximise && plan.maximise->takes_positive()))
    throw_usage(fmt::format("{} is for two classes, f1 and recall@precision; leave it out", option_name("positive")));
  if (plan.threshold && plan.class_names.size() != 2)
    throw_usage(fmt::format("{} is of two classes, and there are {}; write for example {}", option_name("threshold"),
                            plan.class_names.size(), option_name("threshold", "maximise:balanced")));
}

/// "cat 0.9, dog 0.1"; of many classes the first ones.
std::string list(const std::vector<std::string>& names, const std::vector<double>& numbers) {
  std::vector<std::string> pieces;
  for (std::size_t j = 0; j < std::min(names.size(), k_most_listed); ++j)
    pieces.push_back(fmt::format("{} {:.4g}", printable(names[j], 24), numbers[j]));
  if (names.size() > k_most_listed) pieces.push_back(fmt::format("and {} more", names.size() - k_most_listed));
  return join(pieces, ", ");
}

}  // namespace

ScoreAdjustment::ScoreAdjustment(AdjustmentPlan plan, const LabelledScores* validation) : plan_(std::move(plan)) {
  check(plan_);
  if (plan_.needs_fit() && validation == nullptr)
    throw_usage(
        fmt::format("a temperature 'auto' and thresholds are fitted on data that the model was not trained on; "
                    "give {}, scores with labels",
                    option_name("fit")));
  if (plan_.fit_temperature)
    plan_.temperature = fit_temperature(validation->logs, validation->labels, plan_.trained_prior);
  if (plan_.maximise)
    thresholds_ = fit_thresholds(apply(validation->logs), validation->labels, *plan_.maximise,
                                 {.costs = plan_.costs,
                                  .positive = plan_.maximise->takes_positive() ? plan_.positive : std::nullopt,
                                  .class_names = plan_.class_names});
  if (plan_.threshold)
    thresholds_ = Thresholds::of_two(plan_.positive.value_or(1) == 1 ? *plan_.threshold : 1 - *plan_.threshold);
}

ScoreMatrix ScoreAdjustment::apply(ScoreMatrix logs) const {
  if (plan_.temperature) apply_temperature(logs, *plan_.temperature, plan_.trained_prior);
  if (plan_.posthoc.kind == PostHoc::Kind::la) logit_adjustment(logs, *plan_.train_counts, plan_.posthoc.tau);
  if (!plan_.prior.empty()) correct_prior(logs, plan_.trained_prior, plan_.prior);
  return logs;
}

std::vector<std::int64_t> ScoreAdjustment::predict(const ScoreMatrix& adjusted) const {
  if (thresholds_) return most_probable(adjusted, thresholds_->offsets);
  if (plan_.costs) return decide(adjusted, *plan_.costs);
  return most_probable(adjusted);
}

std::vector<std::string> ScoreAdjustment::steps() const {
  std::vector<std::string> lines;
  if (plan_.temperature)
    lines.push_back(fmt::format("temperature {:.4g}{}", *plan_.temperature,
                                plan_.fit_temperature ? ", fitted by log loss on the validation file" : ""));
  if (plan_.posthoc.kind == PostHoc::Kind::la)
    lines.push_back(fmt::format("logit adjustment, tau {}", format_number(plan_.posthoc.tau)));
  if (!plan_.prior.empty())
    lines.push_back(fmt::format("prior corrected from {} to {}", list(plan_.class_names, plan_.trained_prior),
                                list(plan_.class_names, plan_.prior)));
  if (thresholds_ && plan_.class_names.size() == 2) {
    const auto positive = static_cast<std::size_t>(plan_.positive.value_or(1));
    const double threshold = thresholds_->threshold();
    lines.push_back(fmt::format("'{}' predicted above a probability of {:.4g}", printable(plan_.class_names[positive]),
                                positive == 1 ? threshold : 1 - threshold));
  } else if (thresholds_) {
    lines.push_back(fmt::format("offsets of the log probabilities: {}", list(plan_.class_names, thresholds_->offsets)));
  } else if (plan_.costs) {
    lines.push_back("the class of least expected cost predicted");
  }
  if (plan_.maximise)
    lines.push_back(
        fmt::format("thresholds fitted by {} on the validation file, where it is {:.4g}",
                    plan_.maximise->kind == ThresholdMetric::Kind::cost ? "least mean cost" : plan_.maximise->text(),
                    thresholds_->value));
  return lines;
}

}  // namespace ulmus
