// Included once for every instruction set, from row_kernel-inl.hpp.
#if defined(ULMUS_VECTOR_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ULMUS_VECTOR_EXP_INL
#undef ULMUS_VECTOR_EXP_INL
#else
#define ULMUS_VECTOR_EXP_INL
#endif

#include "hwy/highway.h"
#include "loss/row_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class A>
struct ExpConstants;

/// 2^f = 1 + c1 f + c2 f^2 + ... on [-1/2, 1/2], minimax in the relative error and exact at 0: 2^-28.5.
template <>
struct ExpConstants<float> {
  static constexpr float c[] = {0.693147215F,   0.240226528F,   0.0555031055F,
                                0.00961769297F, 0.00134066439F, 0.000155946779F};
  static constexpr int mantissa_bits = 23;
  static constexpr float bias = 127, shift = 0x1.8p23F, smallest = -125;
};

/// The same to 2^-55.7.
template <>
struct ExpConstants<double> {
  static constexpr double c[] = {0.693147180559945697,     0.24022650695910098,    0.0555041086647903942,
                                 0.0096181291076070022,    0.00133335581534400468, 0.000154035304415724541,
                                 0.0000152527273851156585, 1.32154426751450124e-6, 1.01806476912311818e-7,
                                 7.07257044629137235e-9,   4.07806719561656016e-10};
  static constexpr int mantissa_bits = 52;
  static constexpr double bias = 1023, shift = 0x1.8p52, smallest = -1021;
};

/// exp(scale * x) for x <= 0, with scale * log2(e) = high + low.
///
/// Range reduction 2^(n + f): adding a large number rounds x * high to the integer n and leaves n + bias in the low
/// bits of the sum, where one shift makes the float 2^n of it; f = x * (high + low) - n by fused multiply-adds, so
/// neither the scale nor log2(e) costs a digit.
///
/// Exactly 1 at 0; 0 below 2^-125.5 (float) or 2^-1021.5 (double), so also at -infinity; NaN for NaN. Error at most
/// 1 ulp with fused multiply-add; without it (sse4, scalar) x * high is rounded, and the error is at most
/// 1 + |log2 of the result| ulp.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ScaledExp(D d, V x, V high, V low) {
  using A = hn::TFromD<D>;
  using K = ExpConstants<A>;
  const hn::RebindToUnsigned<D> bits;
  const V shift = hn::Set(d, K::shift + K::bias);
  const V shifted = hn::MulAdd(x, high, shift);
  const V n = hn::Sub(shifted, shift);
  const V f = hn::MulAdd(x, low, hn::MulSub(x, high, n));
  constexpr int degree = sizeof(K::c) / sizeof(A);
  V power = hn::Set(d, K::c[degree - 1]);
  for (int k = degree - 2; k >= 0; --k) power = hn::MulAdd(power, f, hn::Set(d, K::c[k]));
  power = hn::MulAdd(power, f, hn::Set(d, A{1}));
  const V two_to_n = hn::BitCast(d, hn::ShiftLeft<K::mantissa_bits>(hn::BitCast(bits, shifted)));
  return hn::IfThenZeroElse(hn::Lt(n, hn::Set(d, K::smallest)), hn::Mul(power, two_to_n));
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
