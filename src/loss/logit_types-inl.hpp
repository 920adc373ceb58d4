// Loads and stores logits of each type as vectors of the type in which they are computed.
// Included once per instruction set, from row_kernel-inl.hpp.
#if defined(ULMUS_LOGIT_TYPES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ULMUS_LOGIT_TYPES_INL
#undef ULMUS_LOGIT_TYPES_INL
#else
#define ULMUS_LOGIT_TYPES_INL
#endif

#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "loss/row_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// True if binary16 is converted in one instruction.
constexpr bool k_converts_half = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON;

template <class D, class T>
HWY_INLINE hn::Vec<D> ReadLogits(D d, const T* from) {
  if constexpr (std::is_same_v<T, hn::TFromD<D>>) {
    return hn::LoadU(d, from);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const hn::Rebind<std::uint16_t, D> storage;
    const hn::RebindToUnsigned<D> bits;
    const auto loaded = hn::LoadU(storage, reinterpret_cast<const std::uint16_t*>(from));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(bits, loaded)));
  } else if constexpr (k_converts_half) {
    const hn::Rebind<std::uint16_t, D> storage;
    const hn::Rebind<hwy::float16_t, D> half;
    const auto loaded = hn::LoadU(storage, reinterpret_cast<const std::uint16_t*>(from));
    return hn::PromoteTo(d, hn::BitCast(half, loaded));
  } else {
    HWY_ALIGN float lanes[hn::MaxLanes(d)];
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = static_cast<float>(from[i]);
    return hn::Load(d, lanes);
  }
}

template <class D, class T>
HWY_INLINE void WriteLogits(D d, hn::Vec<D> value, T* to) {
  if constexpr (std::is_same_v<T, hn::TFromD<D>>) {
    hn::StoreU(value, d, to);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    // Rounds to nearest, ties to even. A NaN here has zeros in its low half and stays NaN.
    const hn::Rebind<std::uint16_t, D> storage;
    const hn::RebindToUnsigned<D> bits;
    const auto bits32 = hn::BitCast(bits, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits32), hn::Set(bits, 1U));
    const auto rounded = hn::Add(hn::Add(bits32, hn::Set(bits, 0x7fffU)), odd);
    hn::StoreU(hn::TruncateTo(storage, hn::ShiftRight<16>(rounded)), storage, reinterpret_cast<std::uint16_t*>(to));
  } else if constexpr (k_converts_half) {
    const hn::Rebind<std::uint16_t, D> storage;
    const hn::Rebind<hwy::float16_t, D> half;
    hn::StoreU(hn::BitCast(storage, hn::DemoteTo(half, value)), storage, reinterpret_cast<std::uint16_t*>(to));
  } else {
    HWY_ALIGN float lanes[hn::MaxLanes(d)];
    hn::Store(value, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) to[i] = T(lanes[i]);
  }
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
