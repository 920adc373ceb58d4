// The class prologues: they compute v from the logits z of classes j, j+1, ..., and apply the chain rule to a gradient.
// If the slopes permit, a row is computed relative to an origin, its true logit, so that a common offset cancels here
// too.
// Included once per instruction set, from row_kernel-inl.hpp.
#if defined(ULMUS_CLASS_PROLOGUE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ULMUS_CLASS_PROLOGUE_INL
#undef ULMUS_CLASS_PROLOGUE_INL
#else
#define ULMUS_CLASS_PROLOGUE_INL
#endif

#include <cmath>
#include <cstddef>
#include <limits>

#include "hwy/highway.h"
#include "loss/row_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// v[j] = z[j].
template <class A>
struct Uniform {
  static constexpr bool k_tables = false;  ///< whether v needs per-class tables

  explicit Uniform(const ClassTerms<A>&, std::size_t = 0) {}

  A Origin(A) const { return 0; }

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Adjust(D, V z, V, std::size_t) const {
    return z;
  }
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V AdjustOne(D, V z, V, std::size_t) const {
    return z;
  }
  A Adjust(A z, A, std::size_t) const { return z; }

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Chain(D, V gradient, std::size_t) const {
    return gradient;
  }
  double Chain(double gradient, std::size_t) const { return gradient; }
};

/// v[j] = z[j] - origin + offset[j].
template <class A>
struct Shifted {
  static constexpr bool k_tables = true;
  const A* offset;

  /// The table from class `begin` on.
  explicit Shifted(const ClassTerms<A>& terms, std::size_t begin = 0) : offset(terms.offset + begin) {}

  A Origin(A true_logit) const { return std::isfinite(true_logit) ? true_logit : A{0}; }

  /// Lane k is class j + k.
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Adjust(D d, V z, V origin, std::size_t j) const {
    return hn::Add(hn::Sub(z, origin), hn::LoadU(d, offset + j));
  }
  /// All lanes are class j.
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V AdjustOne(D d, V z, V origin, std::size_t j) const {
    return hn::Add(hn::Sub(z, origin), hn::Set(d, offset[j]));
  }
  A Adjust(A z, A origin, std::size_t j) const { return z - origin + offset[j]; }

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Chain(D, V gradient, std::size_t) const {
    return gradient;
  }
  double Chain(double gradient, std::size_t) const { return gradient; }
};

/// v[j] = slope[j] * z[j].
template <class A>
struct Scaled {
  static constexpr bool k_tables = true;
  const A* slope;

  /// The table from class `begin` on.
  explicit Scaled(const ClassTerms<A>& terms, std::size_t begin = 0) : slope(terms.slope + begin) {}

  A Origin(A) const { return 0; }

  /// Lane k is class j + k.
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Adjust(D d, V z, V, std::size_t j) const {
    return hn::Mul(hn::LoadU(d, slope + j), z);
  }
  /// All lanes are class j.
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V AdjustOne(D d, V z, V, std::size_t j) const {
    return hn::Mul(hn::Set(d, slope[j]), z);
  }
  A Adjust(A z, A, std::size_t j) const { return slope[j] * z; }

  /// dl/dz from dl/dv.
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Chain(D d, V gradient, std::size_t j) const {
    return hn::Mul(gradient, hn::LoadU(d, slope + j));
  }
  double Chain(double gradient, std::size_t j) const { return gradient * static_cast<double>(slope[j]); }
};

/// v[j] = slope[j] * z[j] + offset[j].
template <class A>
struct Affine : Scaled<A> {
  using Scaled<A>::slope;
  const A* offset;

  /// The tables from class `begin` on.
  explicit Affine(const ClassTerms<A>& terms, std::size_t begin = 0)
      : Scaled<A>(terms, begin), offset(terms.offset + begin) {}

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Adjust(D d, V z, V, std::size_t j) const {
    return hn::MulAdd(hn::LoadU(d, slope + j), z, hn::LoadU(d, offset + j));
  }
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V AdjustOne(D d, V z, V, std::size_t j) const {
    return hn::MulAdd(hn::Set(d, slope[j]), z, hn::Set(d, offset[j]));
  }
  A Adjust(A z, A, std::size_t j) const { return slope[j] * z + offset[j]; }
};

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
