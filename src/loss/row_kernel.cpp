#include "loss/row_kernel.hpp"

// Instruction sets that would increase the code size but not the speed.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// Includes targets below the compiler's baseline: on AArch64, or with -march, there would otherwise be no scalar code.
#ifndef ULMUS_NO_SCALAR_TARGET
#define HWY_COMPILE_ALL_ATTAINABLE
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loss/row_kernel.cpp"
#include "hwy/foreach_target.h"
#include "loss/row_epilogue-inl.hpp"
#include "loss/row_kernel-inl.hpp"
#include "loss/small_c-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {

// All instantiations of the kernel: four logit types times four prologues, and three shapes.

template <class T>
RowKernels::Of<T> KernelsOf() {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<Compute<T>>()));
  return {.small_c_uniform = {lanes, ForwardSmallC<T, Uniform>, BackwardSmallC<T, Uniform>},
          .small_c_shifted = {lanes, ForwardSmallC<T, Shifted>, BackwardSmallC<T, Shifted>},
          .small_c_scaled = {lanes, ForwardSmallC<T, Scaled>, BackwardSmallC<T, Scaled>},
          .small_c_affine = {lanes, ForwardSmallC<T, Affine>, BackwardSmallC<T, Affine>},
          .large_c_uniform = {0, ForwardLargeC<T, Uniform>, BackwardLargeC<T, Uniform>},
          .large_c_shifted = {0, ForwardLargeC<T, Shifted>, BackwardLargeC<T, Shifted>},
          .large_c_scaled = {0, ForwardLargeC<T, Scaled>, BackwardLargeC<T, Scaled>},
          .large_c_affine = {0, ForwardLargeC<T, Affine>, BackwardLargeC<T, Affine>},
          .largest_wrong_logit = LargestWrongLogit<T>};
}

/// result[i] = function(d, x[i]): in whole vectors, then in single lanes for the remaining values.
template <class A, class Function>
void ForMany(const A* x, A* result, std::int64_t n, Function function) {
  const hn::ScalableTag<A> d;
  const hn::CappedTag<A, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(function(d, hn::LoadU(d, x + i)), d, result + i);
  for (; i < n; ++i) hn::StoreU(function(one, hn::LoadU(one, x + i)), one, result + i);
}

template <class A>
void ExpOfMany(double scale, const A* x, A* result, std::int64_t n) {
  ForMany(x, result, n, [scale](auto d, auto v) HWY_ATTR { return ScaledExp(d, scale)(v); });
}

void AcosOfMany(const double* x, double* result, std::int64_t n) {
  ForMany(x, result, n, [](auto d, auto v) HWY_ATTR { return hn::Acos(d, v); });
}

void CosOfMany(const double* x, double* result, std::int64_t n) {
  ForMany(x, result, n, [](auto d, auto v) HWY_ATTR { return hn::Cos(d, v); });
}

/// With s the sine of arccos(z), never 0: cos(arccos(z) + a) = z cos(a) - s sin(a), and d arccos(z) / dz = -1 / s.
void TurnOfMany(const double* z, double* t, double* slope, std::int64_t n) {
  const auto turn = [&](auto d, std::int64_t i) HWY_ATTR {
    const auto x = hn::LoadU(d, z + i), angle = hn::LoadU(d, t + i), one = hn::Set(d, 1.0);
    const auto s = hn::Sqrt(hn::Max(hn::NegMulAdd(x, x, one), hn::Set(d, 1e-12)));
    const auto cosine = hn::Cos(d, angle), sine = hn::Sin(d, angle);
    const auto by_z = hn::Sub(hn::Div(one, s), hn::LoadU(d, slope + i));
    hn::StoreU(hn::NegMulAdd(s, sine, hn::Mul(x, cosine)), d, t + i);
    hn::StoreU(hn::Mul(hn::MulAdd(s, cosine, hn::Mul(x, sine)), by_z), d, slope + i);
  };
  const hn::ScalableTag<double> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) turn(d, i);
  for (; i < n; ++i) turn(hn::CappedTag<double, 1>(), i);
}

/// All kernels of this instruction set.
inline RowKernels Kernels() {
  return {.f32 = KernelsOf<float>(),
          .f64 = KernelsOf<double>(),
          .bf16 = KernelsOf<BFloat16>(),
          .f16 = KernelsOf<Half>(),
          .plain = Epilogue<PlainShape>,
          .focal = Epilogue<FocalShape>,
          .poly = Epilogue<PolyShape>,
          .exp_f32 = ExpOfMany<float>,
          .exp_f64 = ExpOfMany<double>,
          .acos_f64 = AcosOfMany,
          .cos_f64 = CosOfMany,
          .turn_f64 = TurnOfMany};
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/target.hpp"

namespace ulmus {
namespace detail {
namespace {

struct Target {
  std::string name;
  RowKernels kernels;
};

std::string name_of_target(std::int64_t target) {
  switch (target) {
    case HWY_AVX3:
      return "avx512";
    case HWY_AVX2:
      return "avx2";
    case HWY_SSE4:
      return "sse4";
    case HWY_NEON:
      return "neon";
    default:
      return "scalar";
  }
}

/// Best first: better targets have lower bits.
const std::vector<Target>& targets() {
  static const std::vector<Target> table = [] {
    std::vector<Target> found;
    const auto add = [&](std::int64_t target, RowKernels (*kernels)()) {
      if (kernels != nullptr && (hwy::SupportedTargets() & target) != 0)
        found.push_back({name_of_target(target), kernels()});
    };
    add(HWY_AVX3, HWY_CHOOSE_AVX3(Kernels));
    add(HWY_AVX2, HWY_CHOOSE_AVX2(Kernels));
    add(HWY_SSE4, HWY_CHOOSE_SSE4(Kernels));
    add(HWY_NEON, HWY_CHOOSE_NEON(Kernels));
    add(HWY_EMU128 | HWY_SCALAR, HWY_CHOOSE_FALLBACK(Kernels));
    return found;
  }();
  return table;
}

const Target& find_target(std::string_view name, ErrorKind kind, std::string_view whence) {
  for (const Target& target : targets())
    if (target.name == name) return target;
  throw Error(kind, fmt::format("{} is '{}', which this machine cannot run; choose one of {}", whence, name,
                                join(available_targets(), ", ")));
}

const Target& default_target() {
  static const Target& chosen = [&]() -> const Target& {
    const char* forced = std::getenv("ULMUS_TARGET");
    return forced == nullptr ? targets().front() : find_target(forced, ErrorKind::environment, "ULMUS_TARGET");
  }();
  return chosen;
}

std::atomic<const Target*> chosen_target = nullptr;

const Target& current_target() {
  const Target* chosen = chosen_target.load(std::memory_order_acquire);
  return chosen != nullptr ? *chosen : default_target();
}

}  // namespace

const RowKernels& row_kernels() { return current_target().kernels; }

}  // namespace detail

std::vector<std::string> available_targets() {
  std::vector<std::string> names;
  for (const auto& target : detail::targets()) names.push_back(target.name);
  return names;
}

std::string_view target_in_use() { return detail::current_target().name; }

void use_target(std::string_view name) {
  detail::chosen_target.store(
      name.empty() ? nullptr : &detail::find_target(name, ErrorKind::usage, "the instruction set"),
      std::memory_order_release);
}

}  // namespace ulmus
#endif
