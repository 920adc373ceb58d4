#pragma once

#include <cstdint>
#include <limits>

namespace ulmus {

/// Statistics of one row over a subset of the C classes. Statistics of disjoint subsets merge into those of their
/// union, and a loss and its gradient follow from those of all classes: Loss::row_statistics, merge,
/// Loss::evaluate_shard. The adjusted logit v and the scale are defined in family.hpp; u = scale * v.
///
/// The values are plain numbers, so that other processes and devices can compute and merge them. A default-constructed
/// object covers no classes: merging it changes nothing.
struct RowStatistics {
  /// u[m], the largest of an incorrect class. -infinity: all are masked, or there is none.
  double maximum = -std::numeric_limits<double>::infinity();
  /// Sum over the incorrect classes of exp(u[j] - maximum), where a term counts as 1 if both are the same infinity: at
  /// least 1; 0 if there is no incorrect class; NaN if the logit of one is NaN.
  double sum = 0;
  /// z[y], the output of the head. -infinity: masked, or the label is not among these classes. +infinity and NaN give a
  /// loss of NaN.
  double true_value = -std::numeric_limits<double>::infinity();
  /// The largest z[j] of an incorrect class, the output of the head.
  double rival_value = -std::numeric_limits<double>::infinity();
  /// m, numbered among all C classes; the lowest if several have the same u[m]. -1: there is no incorrect class.
  std::int64_t rival_class = -1;
};

/// Merges the statistics over two disjoint sets of classes. Commutative; associative up to the rounding of `sum` (2^-52
/// relative per merge), exact in everything else.
RowStatistics merge(const RowStatistics& a, const RowStatistics& b);

}  // namespace ulmus
