#pragma once

#include <bit>
#include <cstdint>

namespace ulmus {

/// bfloat16 in memory: sign, 8 exponent bits, 7 mantissa bits. Storage only; the library computes in float.
struct BFloat16 {
  std::uint16_t bits;

  BFloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  explicit BFloat16(float value) {
    const auto bits32 = std::bit_cast<std::uint32_t>(value);
    const bool nan = (bits32 & 0x7fffffffU) > 0x7f800000U;
    bits = static_cast<std::uint16_t>(nan ? bits32 >> 16 | 0x40U : (bits32 + 0x7fffU + (bits32 >> 16 & 1U)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// IEEE binary16 in memory: sign, 5 exponent bits, 10 mantissa bits. Storage only; the library computes in float.
struct Half {
  std::uint16_t bits;

  Half() = default;
  /// Rounds to nearest, ties to even; values beyond 65504 become infinity; NaN stays NaN.
  explicit Half(float value) {
    const auto bits32 = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits32 >> 16 & 0x8000U;
    const std::uint32_t size = bits32 & 0x7fffffffU;
    std::uint32_t half;
    if (size > 0x7f800000U) {
      half = 0x7e00U;
    } else if (size >= 0x477ff000U) {  // 65520 and above round to infinity
      half = 0x7c00U;
    } else if (size >= 0x38800000U) {  // normal: change the exponent bias from 127 to 15, then round away 13 bits
      half = (size - 0x38000000U + 0xfffU + (size >> 13 & 1U)) >> 13;
    } else {  // after adding 0.5 the unit in the last place is 2^-24, that of a subnormal, so the sum is rounded to it
      half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5F) - 0x3f000000U;
    }
    bits = static_cast<std::uint16_t>(sign | half);
  }
  explicit operator float() const {
    const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16;
    const std::uint32_t size = bits & 0x7fffU;
    // A subnormal is an integer times 2^-24. For other values change the exponent bias from 15 to 127; for infinity and
    // NaN the exponent is 255.
    const std::uint32_t bits32 = size < 0x400U ? std::bit_cast<std::uint32_t>(static_cast<float>(size) * 0x1p-24F)
                                               : (size << 13) + (size < 0x7c00U ? 0x38000000U : 0x70000000U);
    return std::bit_cast<float>(sign | bits32);
  }
};

}  // namespace ulmus
