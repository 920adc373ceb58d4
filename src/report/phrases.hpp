#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ulmus/report/summary.hpp"

namespace ulmus {

/// A fraction as percent with one decimal, "-" if absent.
std::string percent(const std::optional<double>& fraction);

/// Half the width of an interval of fractions, in percent with one decimal.
std::string half_width(const Interval& interval);

/// The class that is the worst for most seeds; the first such class on a tie.
std::string most_common_worst_class(const SetSummary& set);

/// Returns whether the loss has the best mean of the metric on the test set, and another loss a worse one.
bool is_best(const Summary& summary, std::size_t metric, std::size_t loss);

/// The loss with the best mean balanced accuracy on the test set; the first such loss on a tie.
std::size_t best_loss(const Summary& summary);

/// The baseline for comparisons: `ce` if it took part, else the first loss.
std::size_t baseline_loss(const Summary& summary);

/// "mean of 3 seeds with 95% t-interval", "one seed, so no interval".
std::string seeds_phrase(const Summary& summary);

/// What was chosen on which data, without the final full stop.
std::string selection_phrase(const Summary& summary);

/// Truncates to at most `width` code points; the last is an ellipsis if something was cut.
std::string shorten(std::string_view text, std::size_t width);

}  // namespace ulmus
