// The row epilogue: per-row computation in double between the two sweeps of the row kernel, for several rows at once.
// Included once per instruction set, from row_kernel-inl.hpp.
#if defined(ULMUS_ROW_EPILOGUE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ULMUS_ROW_EPILOGUE_INL
#undef ULMUS_ROW_EPILOGUE_INL
#else
#define ULMUS_ROW_EPILOGUE_INL
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "loss/row_kernel.hpp"
#include "loss/vector_exp-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Cross entropy c = softplus(d) of the distance d = log(sum) + gap, and q = 1 - p = sigmoid(d), p = sigmoid(-d).
template <class V>
struct CrossEntropy {
  V c, q, p;
};

/// With S the sum, softplus(log S + g) is log1p(S exp(g)) for g <= 0 and g + log(S + exp(-g)) for g > 0: the only
/// exponential has a negative argument, and no small result is a difference of large numbers.
template <class D, class V = hn::Vec<D>>
HWY_INLINE CrossEntropy<V> SoftPlus(D d, V sum, V gap) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0);
  const auto right = hn::Le(gap, zero);
  const V x = ScaledExp(d, 1.0)(hn::Neg(hn::Abs(gap)));
  const V wrong_part = hn::IfThenElse(right, hn::Mul(sum, x), sum), true_part = hn::IfThenElse(right, one, x);
  const V total = hn::Add(wrong_part, true_part);
  const V q = hn::Div(wrong_part, total), p = hn::Div(true_part, total);
  const V log = hn::Log1p(d, hn::IfThenElse(right, wrong_part, hn::Sub(total, one)));
  const V c = hn::Add(hn::IfThenZeroElse(right, gap), log);
  return {hn::IfThenElse(hn::IsNaN(q), q, c), q, p};
}

// The shapes: loss of a sample and its derivative with respect to d.

struct PlainShape {
  template <class D, class V>
  HWY_INLINE void operator()(D, const CrossEntropy<V>& of, V, V& value, V& slope) const {
    value = of.c;
    slope = of.q;
  }
};

/// (1 - p)^gamma * c: 1 - p and its power keep their precision, and gamma < 1 does not give 0 * infinity.
struct FocalShape {
  template <class D, class V>
  HWY_INLINE void operator()(D d, const CrossEntropy<V>& of, V gamma, V& value, V& slope) const {
    const V zero = hn::Zero(d);
    const auto nothing = hn::Eq(of.q, zero);
    const V power = hn::IfThenZeroElse(nothing, hn::Exp(d, hn::Mul(gamma, hn::Log(d, of.q))));
    const V pc = hn::IfThenZeroElse(hn::Eq(of.p, zero), hn::Mul(of.p, of.c));
    const auto nan = hn::IsNaN(of.c);
    value = hn::IfThenElse(nan, of.c, hn::IfThenZeroElse(nothing, hn::Mul(power, of.c)));
    slope = hn::IfThenElse(nan, of.c, hn::Mul(power, hn::MulAdd(gamma, pc, of.q)));
  }
};

/// c + epsilon * (1 - p).
struct PolyShape {
  template <class D, class V>
  HWY_INLINE void operator()(D, const CrossEntropy<V>& of, V epsilon, V& value, V& slope) const {
    value = hn::MulAdd(epsilon, of.q, of.c);
    slope = hn::Mul(of.q, hn::MulAdd(epsilon, of.p, hn::Set(hn::DFromV<V>(), 1.0)));
  }
};

template <class Shape>
void Epilogue(const double* parameter, std::int64_t rows, const double* sum, const double* gap, double* value,
              double* slope) {
  const hn::ScalableTag<double> d;
  const Shape shape;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); i += hn::Lanes(d)) {
    auto values = hn::Zero(d), slopes = hn::Zero(d);
    shape(d, SoftPlus(d, hn::LoadU(d, sum + i), hn::LoadU(d, gap + i)), hn::LoadU(d, parameter + i), values, slopes);
    hn::StoreU(values, d, value + i);
    hn::StoreU(slopes, d, slope + i);
  }
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
