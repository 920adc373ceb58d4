#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/base/class_values.hpp"
#include "ulmus/base/names.hpp"

namespace ulmus {

/// The profile that makes a (nearly) balanced training set long-tailed: `none`, `exp:RATIO`, `step:RATIO`,
/// `pareto:ALPHA` or `counts:FILE`.
struct ImbalanceProfile {
  enum class Kind { none, exponential, step, pareto, counts };
  Kind kind = Kind::none;
  double factor = 1;    ///< exponential, step: n_min / n_max = 1 / RATIO
  double alpha = 6;     ///< pareto: the exponent; a larger one makes a lighter tail
  ClassValues given{};  ///< counts: the lines of the file, each an integer of at least 1

  /// Parses a profile and reads the file of `counts:FILE`: one integer of at least 1 per line, for each class in label
  /// order, or lines "name,count" in any order (base/class_values.hpp). Throws Error{usage} for an unknown kind (with
  /// the nearest name), a ratio below 1 or an alpha outside 0.01 to 1000; Error{data} naming file and line for a file
  /// that cannot be read.
  static ImbalanceProfile parse(std::string_view text);
};

/// Number of samples to keep per class, [C].
///
///     none          n[c] = available[c]
///     exponential   n[c] = trunc(n_max * factor^(c / (C - 1)))        class 0 is the most frequent
///     step          n[c] = trunc(n_max) for c < C/2, trunc(n_max * factor) for the rest
///     pareto        n[c] = max(1, trunc(n_max * q(c) / q(0))),  q(c) = ((c + 1) / (C + 1))^(-1 / alpha) - 1
///     counts        n[c] = given[c], by name if the lines of the file have names
///
/// in double precision, truncated toward zero as in the reference protocol (LDAM-DRW). For `exponential` and `step`
/// n_max = total / C, for `pareto` n_max = available[0], if every class has enough samples; otherwise n_max is the
/// largest integer for which each class has enough (so the requested profile is kept exactly). For an odd number of
/// classes with `step`, the reference loses the last class; here it is kept. A count may be 0, with `pareto` only if
/// nothing is available.
///
/// `pareto` uses the quantiles of the Pareto distribution (of the second kind, as NumPy draws it) at the expected ranks
/// of C draws, so it draws no random numbers. ImageNet-LT (Liu et al., CVPR 2019) was drawn from this distribution with
/// alpha 6 between 5 and 1280 images: 115,846 in all, 385 classes of more than 100. `pareto:6` of 1000 classes of 1280
/// images gives 117,000 and 388.
///
/// `class_names`, [C], are used only for the file of `counts`; without them the classes are called "0" to "C - 1".
/// Throws Error{data} if the classes in the file differ from those of the data, or a count exceeds the available
/// samples.
std::vector<std::int64_t> imbalance_counts(const ImbalanceProfile& profile, std::span<const std::int64_t> available,
                                           std::span<const std::string> class_names = {});

}  // namespace ulmus
