#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ulmus {

/// Number of training samples per class, int64 [C], C >= 1, and all quantities derived from it. A class may have no
/// samples.
///
/// Accuracy: double precision, relative error of a few ulp; `effective_number_weights` uses expm1, so it stays accurate
/// for beta -> 1 and large counts.
class ClassCounts {
 public:
  /// `names`, [C] or empty, are the class names accepted in files with one number per class. Throws Error{data} if
  /// there is no class, a count is negative, every count is zero, their sum overflows int64, or the number of names
  /// differs.
  explicit ClassCounts(std::vector<std::int64_t> counts, std::vector<std::string> names = {});

  std::int64_t classes() const { return static_cast<std::int64_t>(counts_.size()); }
  std::int64_t total() const { return total_; }
  std::int64_t operator[](std::int64_t j) const { return counts_[static_cast<std::size_t>(j)]; }
  std::span<const std::int64_t> values() const { return counts_; }
  std::span<const std::string> names() const { return names_; }

  /// n_max / n_min over the classes with samples; 1 for equal counts.
  double imbalance_ratio() const;

  /// pi[j] = n[j] / sum n. [C]
  std::vector<double> prior() const;

  /// Effective-number weights (Cui et al., CVPR 2019): (1 - beta) / (1 - beta^n[j]), normalised to sum to the number of
  /// classes with samples. `beta` in [0, 1); 0 gives ones. A class without samples has weight 0. [C]
  std::vector<double> effective_number_weights(double beta) const;

  /// 1 / n[j], normalised to sum to the number of classes with samples. A class without samples has weight 0. [C]
  std::vector<double> inverse_frequency_weights() const;

  /// Generalised re-weighting (Zhang et al., CVPR 2021): pi[j]^-rho, normalised to sum to the number of classes with
  /// samples, finite for every finite rho. A class without samples has weight 0. [C]
  std::vector<double> power_weights(double rho) const;

  /// LDAM margins (Cao et al., NeurIPS 2019): D[j] = max_margin * (n_min / n[j])^(1/4). The rarest class with samples
  /// has max_margin, and so have classes without samples. [C]
  std::vector<double> ldam_margins(double max_margin) const;

  friend bool operator==(const ClassCounts&, const ClassCounts&) = default;

 private:
  std::vector<std::int64_t> counts_;
  std::vector<std::string> names_;
  std::int64_t total_ = 0;
};

/// The groups for which long-tailed accuracy is reported (Liu et al., CVPR 2019).
enum class ShotGroup { many, medium, few };

/// many: more than `many_above` training samples; few: fewer than `few_below`; medium: the rest.
struct ShotThresholds {
  std::int64_t many_above = 100;
  std::int64_t few_below = 20;
};

ShotGroup shot_group(std::int64_t count, ShotThresholds thresholds = {});

}  // namespace ulmus
