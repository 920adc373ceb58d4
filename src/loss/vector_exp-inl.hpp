// Included once per instruction set, from row_kernel-inl.hpp.
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
  static constexpr float bias = 127, shift = 0x1.8p23F;
};

/// The same to 2^-55.7.
template <>
struct ExpConstants<double> {
  static constexpr double c[] = {0.693147180559945697,     0.24022650695910098,    0.0555041086647903942,
                                 0.0096181291076070022,    0.00133335581534400468, 0.000154035304415724541,
                                 0.0000152527273851156585, 1.32154426751450124e-6, 1.01806476912311818e-7,
                                 7.07257044629137235e-9,   4.07806719561656016e-10};
  static constexpr int mantissa_bits = 52;
  static constexpr double bias = 1023, shift = 0x1.8p52;
};

/// exp(scale * x) for x <= 0.
template <class D>
class ScaledExp {
  using A = hn::TFromD<D>;
  using V = hn::Vec<D>;
  using K = ExpConstants<A>;

 public:
  ScaledExp(D d, double scale)
      : d_(d),
        log2_(hn::Set(d, static_cast<A>(scale * 0x1.71547652b82fep+0))),
        lowest_(hn::Set(d, static_cast<A>(-K::bias / (scale * 0x1.71547652b82fep+0)))) {}

  /// Range reduction 2^(n + f): adding a large number rounds x * scale * log2(e) to the integer n and leaves n + bias
  /// in the low bits of the sum, from which one shift makes the float 2^n. The lowest x has n = -bias, whose 2^n is 0.
  ///
  /// Exactly 1 at 0; 0 below 2^-126.5 (float) or 2^-1022.5 (double), hence also at -infinity; NaN for NaN. Error at
  /// most 1 + 0.8 |log2 of the result| ulp, and twice the second term without fused multiply-add (sse4, scalar): the
  /// rounding of scale * log2(e), as if the scale itself were rounded.
  HWY_INLINE V operator()(V x) const {
    const hn::RebindToUnsigned<D> bits;
    const V shift = hn::Set(d_, K::shift + K::bias);
    const V above = NotBelow(x, lowest_);
    const V shifted = hn::MulAdd(above, log2_, shift);
    const V f = hn::MulSub(above, log2_, hn::Sub(shifted, shift));
    constexpr int degree = sizeof(K::c) / sizeof(A);
    V power = hn::Set(d_, K::c[degree - 1]);
    for (int k = degree - 2; k >= 0; --k) power = hn::MulAdd(power, f, hn::Set(d_, K::c[k]));
    power = hn::MulAdd(power, f, hn::Set(d_, A{1}));
    return hn::Mul(power, hn::BitCast(d_, hn::ShiftLeft<K::mantissa_bits>(hn::BitCast(bits, shifted))));
  }

 private:
  /// The larger of both, NaN if x is NaN: the x86 instruction returns its second operand then.
  static HWY_INLINE V NotBelow(V x, V lowest) {
    if constexpr (HWY_ARCH_X86 != 0 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)
      return hn::Max(lowest, x);
    else
      return hn::IfThenElse(hn::Lt(x, lowest), lowest, x);
  }

  D d_;
  V log2_, lowest_;
};

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
