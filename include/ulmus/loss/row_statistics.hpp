#pragma once

#include <cstdint>
#include <limits>

namespace ulmus {

/// Statistics of one row over some of the C classes. Those of disjoint sets of classes merge to those of their union,
/// and a loss and its gradient follow from those of all classes: Loss::row_statistics, merge, Loss::evaluate_shard.
/// The adjusted logit v and the scale are those of family.hpp, and u = scale * v.
///
/// The values are plain numbers, so that other processes and devices can make and merge them. A default-constructed
/// one belongs to no classes: merging it changes nothing.
struct RowStatistics {
  /// u[m], the largest of a wrong class. -infinity: all are masked, or there is none.
  double maximum = -std::numeric_limits<double>::infinity();
  /// Sum over the wrong classes of exp(u[j] - maximum), which counts as 1 where both are the same infinity: at least 1;
  /// 0 where there is no wrong class; NaN where the logit of one is NaN.
  double sum = 0;
  /// z[y], as the head gives it. -infinity: masked, or the label is not among these classes. +infinity and NaN give a
  /// loss that is NaN.
  double true_value = -std::numeric_limits<double>::infinity();
  /// The largest z[j] of a wrong class, as the head gives it.
  double rival_value = -std::numeric_limits<double>::infinity();
  /// m, of all C classes; the lowest where several have the same u[m]. -1: there is no wrong class.
  std::int64_t rival_class = -1;
};

/// The statistics over two disjoint sets of classes together. Commutative; associative up to the rounding of `sum`
/// (2^-52 relative a merge), exact in everything else.
RowStatistics merge(const RowStatistics& a, const RowStatistics& b);

}  // namespace ulmus
