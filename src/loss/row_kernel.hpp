#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "ulmus/loss/family.hpp"

/// The row kernel: loss and gradient of one sample, whatever the member.
///
/// Cross entropy is softplus(d) with the distance d = logsumexp over j != y of u[j] - u[y] (see family.hpp). With the
/// rival m = argmax over j != y of z[j], everything is written relative to it,
///
///     e[j] = exp(u[j] - u[m])            <= 1, and e[m] = 1: no overflow, a sum of at least 1
///     d    = log(sum over j != y of e[j]) + scale * ((z[m] - z[y]) + margin)
///
/// so a common offset of the logits cancels in z[m] - z[y] before anything is rounded. The gradient follows from
/// d softplus(d) / dd = sigmoid(d):
///
///     dl/dz[j] =  sigmoid(d) * scale * e[j] / sum        j != y
///     dl/dz[y] = -sigmoid(d) * scale
///
/// never "probability minus one", so it keeps its digits when the sample is nearly right.
///
/// Two slots are filled at compile time. The *class prologue* says how u[j] comes from z[j]; the *row epilogue* gives
/// margin and weight of the row. Whatever fits them is a member of the family and shares this code.
namespace ulmus::detail {

constexpr double k_infinity = std::numeric_limits<double>::infinity();

/// Class prologue u[j] = scale * z[j].
struct UniformPrologue {
  double scale;

  /// u[j] - u[m]; 0 at the rival itself, also when its logit is infinite.
  template <class T>
  T below_rival(T logit, T rival_logit) const {
    return logit == rival_logit ? T{0} : static_cast<T>(scale) * (logit - rival_logit);
  }
};

/// Row epilogue margin = D[y] - lambda * D[m], weight w[y]; a null pointer stands for zeros, or for ones.
struct MarginEpilogue {
  const double* true_margin;
  const double* rival_margin;
  const double* class_weight;

  double margin(std::int64_t label, std::int64_t rival) const {
    double margin = true_margin ? true_margin[label] : 0;
    if (rival_margin) margin += rival_margin[rival];
    return margin;
  }
  double weight(std::int64_t label) const { return class_weight ? class_weight[label] : 1; }
};

inline double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }

inline double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

/// The largest wrong logit, lowest index on a tie; -1 when there is no other class. A NaN is passed over here and met
/// in the sum.
template <class T>
std::int64_t find_rival(const T* logits, std::int64_t classes, std::int64_t label) {
  std::int64_t rival = label == 0 ? 1 : 0;
  if (rival >= classes) return -1;
  for (std::int64_t j = rival + 1; j < classes; ++j)
    if (j != label && (logits[j] > logits[rival] || logits[rival] != logits[rival])) rival = j;
  return rival;
}

/// Loss of one row, already weighted. With `gradient` (which may be `logits`), also d loss / d logits times
/// `gradient_scale`.
template <class T, class Prologue, class Epilogue>
double row_loss(const T* logits, std::int64_t classes, std::int64_t label, const Prologue& prologue,
                const Epilogue& epilogue, T* gradient, double gradient_scale) noexcept {
  const std::int64_t rival = find_rival(logits, classes, label);
  const double weight = epilogue.weight(label);
  if (rival < 0) {
    if (gradient) gradient[label] = 0;
    return 0;
  }
  const T rival_logit = logits[rival];
  const T true_logit = logits[label];
  double sum = 0;
  for (std::int64_t j = 0; j < classes; ++j) {
    const T e = j == label ? T{0} : std::exp(prologue.below_rival(logits[j], rival_logit));
    sum += static_cast<double>(e);
    if (gradient) gradient[j] = e;
  }
  const double gap = static_cast<double>(rival_logit) - static_cast<double>(true_logit);
  const double distance = std::log(sum) + prologue.scale * (gap + epilogue.margin(label, rival));
  if (gradient) {
    const double pull = sigmoid(distance) * prologue.scale * weight * gradient_scale;
    const T share = static_cast<T>(pull / sum);
    for (std::int64_t j = 0; j < classes; ++j) gradient[j] *= share;
    gradient[label] = static_cast<T>(-pull);
  }
  return weight * softplus(distance);
}

}  // namespace ulmus::detail
