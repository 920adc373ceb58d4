#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/base/class_values.hpp"
#include "ulmus/base/names.hpp"

namespace ulmus {

/// The profile by which a (nearly) balanced training set becomes long-tailed: `none`, `exp:RATIO`, `step:RATIO`,
/// `pareto:ALPHA` or `counts:FILE`.
struct ImbalanceProfile {
  enum class Kind { none, exponential, step, pareto, counts };
  Kind kind = Kind::none;
  double factor = 1;    ///< exponential, step: n_min / n_max = 1 / RATIO
  double alpha = 6;     ///< pareto: the power; a larger one makes a lighter tail
  ClassValues given{};  ///< counts: the lines of the file, each a whole number of at least 1

  /// Reads the file of `counts:FILE`: a whole number of at least 1 a line, one for each class in label order, or lines
  /// "name,count" in any order (base/class_values.hpp). Throws Error{usage} for an unknown kind (with the nearest
  /// name), a ratio below 1 or an alpha outside 0.01 to 1000; Error{data} naming file and line for one that cannot be
  /// read.
  static ImbalanceProfile parse(std::string_view text);
};

/// Samples kept of each class, [C].
///
///     none          n[c] = available[c]
///     exponential   n[c] = trunc(n_max * factor^(c / (C - 1)))        class 0 is the most frequent
///     step          n[c] = trunc(n_max) for c < C/2, trunc(n_max * factor) for the rest
///     pareto        n[c] = max(1, trunc(n_max * q(c) / q(0))),  q(c) = ((c + 1) / (C + 1))^(-1 / alpha) - 1
///     counts        n[c] = given[c], by name where the lines of the file have names
///
/// in double precision, truncated toward zero as in the reference protocol (LDAM-DRW). With `exponential` and `step`
/// n_max = total / C when every class has enough samples for it, with `pareto` n_max = available[0]; otherwise it is
/// the largest whole n_max for which each has (so the profile asked for is the profile made). Where the reference loses
/// the last class of an odd number (step), it is kept. A result may be 0, with `pareto` only where nothing is
/// available.
///
/// `pareto` takes the quantiles of the Pareto distribution (of the second kind, as NumPy draws it) at the expected
/// ranks of C draws, so nothing is drawn. ImageNet-LT (Liu et al., CVPR 2019) was drawn from it with alpha 6 between 5
/// and 1280 images: 115,846 in all, 385 classes of more than 100. `pareto:6` of 1000 classes of 1280 images gives
/// 117,000 and 388.
///
/// `class_names`, [C], are for the file of `counts` alone; without them the classes are called "0" to "C - 1". Throws
/// Error{data} when the file has other classes than the data, or asks for more than there is.
std::vector<std::int64_t> imbalance_counts(const ImbalanceProfile& profile, std::span<const std::int64_t> available,
                                           std::span<const std::string> class_names = {});

}  // namespace ulmus
