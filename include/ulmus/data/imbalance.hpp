#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// How a long-tailed training set is made from a (nearly) balanced one: `none`, `exp:RATIO` or `step:RATIO`.
struct ImbalanceProfile {
  enum class Kind { none, exponential, step };
  Kind kind = Kind::none;
  double factor = 1;  ///< n_min / n_max = 1 / RATIO

  /// Throws Error{usage} for an unknown kind (with the nearest name) or a ratio below 1.
  static ImbalanceProfile parse(std::string_view text);
};

/// Samples kept of each class, [C].
///
///     none          n[c] = available[c]
///     exponential   n[c] = trunc(n_max * factor^(c / (C - 1)))        class 0 is the most frequent
///     step          n[c] = trunc(n_max) for c < C/2, trunc(n_max * factor) for the rest
///
/// in double precision, truncated toward zero as in the reference protocol (LDAM-DRW), with n_max = total / C when
/// every class has enough samples for it, otherwise the largest whole n_max for which each has (so the ratio asked for
/// is the ratio made). Where the reference loses the last class of an odd number (step), it is kept. A result may be 0.
std::vector<std::int64_t> imbalance_counts(const ImbalanceProfile& profile, std::span<const std::int64_t> available);

}  // namespace ulmus
