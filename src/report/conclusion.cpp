#include <fmt/format.h>

#include <algorithm>

#include "model.hpp"
#include "phrases.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

std::size_t balanced() { return metric_index("balanced_accuracy"); }

double balanced_mean(const LossSummary& loss) { return loss.test.metrics[balanced()].mean.value(); }

/// Balanced accuracy of one loss minus another, seed by seed, so that effects of the seed on both cancel.
struct Difference {
  double mean = 0;
  std::size_t seeds = 0;  ///< number of seeds that both have
  std::optional<Interval> interval;
};

Difference difference(const LossSummary& over, const LossSummary& under) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < over.seeds.size(); ++i) {
    const auto same = std::find(under.seeds.begin(), under.seeds.end(), over.seeds[i]);
    if (same == under.seeds.end()) continue;
    const auto j = static_cast<std::size_t>(same - under.seeds.begin());
    differences.push_back(*over.test.metrics[balanced()].values[i] - *under.test.metrics[balanced()].values[j]);
  }
  return {.mean = balanced_mean(over) - balanced_mean(under),
          .seeds = differences.size(),
          .interval = mean_interval(differences)};
}

std::string evidence(const Difference& difference) {
  if (difference.seeds == 0) return "they share no seed, so chance cannot be judged";
  if (!difference.interval) return "one seed cannot tell how much of it is chance";
  const std::string range =
      fmt::format("95% interval {:+.1f} to {:+.1f} over {} paired seeds", 100 * difference.interval->low,
                  100 * difference.interval->high, difference.seeds);
  if (difference.interval->low > 0) return "the seeds agree (" + range + ")";
  return "the seeds leave room for chance (" + range + ")";
}

std::string group_name(const ClassOrder& order, bool head) {
  if (order.third == 1) return head ? "the most frequent class" : "the rarest class";
  return head ? "the most frequent third of the classes" : "the rarest third of the classes";
}

}  // namespace

std::string conclusion(const ReportModel& report) {
  const Summary& summary = report.summary;
  const ClassOrder& order = report.order;
  const auto& losses = summary.losses;
  const auto balanced_text = [&](std::size_t i) { return percent(balanced_mean(losses[i])) + "%"; };
  const auto recall = [&](std::size_t i, bool head) {
    return percent(group_recall(report.members[i], head ? order.head() : order.tail())) + "%";
  };
  const std::size_t baseline = baseline_loss(summary), best = best_loss(summary);

  if (losses.size() == 1)
    return fmt::format(
        "{} reaches a balanced accuracy of {} on the test set ({}).\nIt recognises {} at {} and {} at {}.",
        losses[0].loss, balanced_text(0), seeds_phrase(summary), group_name(order, true), recall(0, true),
        group_name(order, false), recall(0, false));

  std::size_t second = best == 0 ? 1 : 0;
  for (std::size_t i = 0; i < losses.size(); ++i)
    if (i != best && balanced_mean(losses[i]) > balanced_mean(losses[second])) second = i;

  if (best == baseline)
    return fmt::format(
        "No loss of this run beats {}, which reaches a balanced accuracy of {} on the test set.\nNext is {} "
        "at {}, a difference of {:.1f} points; {}.",
        losses[best].loss, balanced_text(best), losses[second].loss, balanced_text(second),
        100 * (balanced_mean(losses[best]) - balanced_mean(losses[second])),
        evidence(difference(losses[best], losses[second])));

  const Difference gain = difference(losses[best], losses[baseline]);
  std::string text = fmt::format(
      "{} raises balanced accuracy on the test set from {} to {} ({:+.1f} points) over {}; {}.", losses[best].loss,
      balanced_text(baseline), balanced_text(best), 100 * gain.mean, losses[baseline].loss, evidence(gain));
  text += fmt::format("\nRecall of {} goes from {} to {}, of {} from {} to {}.", group_name(order, false),
                      recall(baseline, false), recall(best, false), group_name(order, true), recall(baseline, true),
                      recall(best, true));
  if (second != baseline) {
    const Difference lead = difference(losses[best], losses[second]);
    text += fmt::format(" Second is {} at {}, {:.1f} points behind; {}.", losses[second].loss, balanced_text(second),
                        100 * lead.mean, evidence(lead));
  }
  return text;
}

std::string conclusion(const RunFolder& run, const Summary& summary) { return conclusion(ReportModel(run, summary)); }

}  // namespace ulmus
