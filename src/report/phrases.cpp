#include "phrases.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ulmus/base/text.hpp"

namespace ulmus {

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.1f}", 100 * *fraction) : "-";
}

std::string half_width(const Interval& interval) { return fmt::format("{:.1f}", 50 * (interval.high - interval.low)); }

std::string most_common_worst_class(const SetSummary& set) {
  const auto& names = set.worst_classes;
  return *std::max_element(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return std::count(names.begin(), names.end(), a) < std::count(names.begin(), names.end(), b);
  });
}

bool is_best(const Summary& summary, std::size_t metric, std::size_t loss) {
  const std::optional<double> mean = summary.losses[loss].test.metrics[metric].mean;
  if (!mean) return false;
  bool better_than_one = false;
  for (const LossSummary& other : summary.losses) {
    const std::optional<double> value = other.test.metrics[metric].mean;
    if (!value) continue;
    const double lead = metrics()[metric].higher_is_better ? *mean - *value : *value - *mean;
    if (lead < 0) return false;
    better_than_one = better_than_one || lead > 0;
  }
  return better_than_one;
}

std::size_t best_loss(const Summary& summary) {
  const std::size_t metric = metric_index("balanced_accuracy");
  const auto best =
      std::max_element(summary.losses.begin(), summary.losses.end(), [&](const LossSummary& a, const LossSummary& b) {
        return *a.test.metrics[metric].mean < *b.test.metrics[metric].mean;
      });
  return static_cast<std::size_t>(best - summary.losses.begin());
}

std::size_t baseline_loss(const Summary& summary) {
  const auto ce = std::find_if(summary.losses.begin(), summary.losses.end(),
                               [](const LossSummary& loss) { return loss.loss == "ce"; });
  return ce == summary.losses.end() ? 0 : static_cast<std::size_t>(ce - summary.losses.begin());
}

std::string seeds_phrase(const Summary& summary) {
  const auto [least, most] =
      std::minmax_element(summary.losses.begin(), summary.losses.end(),
                          [](const LossSummary& a, const LossSummary& b) { return a.seeds.size() < b.seeds.size(); });
  if (most->seeds.size() == 1) return "one seed, so no interval";
  if (least->seeds.size() == most->seeds.size())
    return fmt::format("mean of {} seeds with its 95% t-interval", most->seeds.size());
  return fmt::format("mean of {} to {} seeds with its 95% t-interval", least->seeds.size(), most->seeds.size());
}

std::string selection_phrase(const Summary& summary) {
  const bool trees = std::ranges::all_of(
      summary.losses, [](const LossSummary& loss) { return loss.model.substr(0, loss.model.find(':')) == "trees"; });
  const bool validated = summary.validation_per_class > 0;
  const std::string kept = !trees      ? "Weights of the last epoch"
                           : validated ? "Trees up to the round that is best on the validation part"
                                       : "Trees of all rounds";
  if (!validated) return kept + "; nothing was chosen on the test set";
  std::string chosen;
  for (const LossSummary& loss : summary.losses) {
    if (loss.selections.empty()) continue;
    std::vector<std::string> choices;
    for (const Selection& selection : loss.selections) choices.push_back(selection.chosen);
    if (std::ranges::count(choices, choices.front()) == std::ssize(choices)) choices.resize(1);
    chosen += fmt::format("{}{} for {} (of {} tried)", chosen.empty() ? ", which chose: " : "; ", join(choices, ", "),
                          loss.loss, loss.selections.front().candidates);
  }
  return fmt::format("{}; nothing was chosen on the test set ({} {} of each class held out for validation{})", kept,
                     summary.validation_per_class, trees ? "rows" : "images", chosen);
}

std::string shorten(std::string_view text, std::size_t width) {
  std::size_t points = 0, cut = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (points + 1 == width) cut = i;
    ++points;
  }
  return points <= width ? std::string(text) : std::string(text.substr(0, cut)) + "…";
}

}  // namespace ulmus
