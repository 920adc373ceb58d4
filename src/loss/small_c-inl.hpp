// The row kernel of row_kernel-inl.hpp for few classes (small C): lane i processes row i, class after class. The
// results of lanes without a row are unused.
// Included once per instruction set, from row_kernel.cpp.
#if defined(ULMUS_SMALL_C_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ULMUS_SMALL_C_INL
#undef ULMUS_SMALL_C_INL
#else
#define ULMUS_SMALL_C_INL
#endif

#include <cstddef>
#include <limits>

#include "hwy/highway.h"
#include "loss/class_prologue-inl.hpp"
#include "loss/row_kernel.hpp"
#include "loss/vector_exp-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T, template <class> class P, class A = Compute<T>>
void ForwardSmallC(const Tile<T>& tile, const ClassTerms<A>& terms, ForwardResult* results) {
  const hn::ScalableTag<A> d;
  using V = hn::Vec<decltype(d)>;
  const auto classes = static_cast<std::size_t>(tile.classes), rows = static_cast<std::size_t>(tile.rows);
  const std::size_t lanes = hn::Lanes(d);
  const P<A> prologue(terms);
  A* e = tile.exponentials;

  HWY_ALIGN A label[k_most_tile_rows] = {}, true_logit[k_most_tile_rows] = {}, origin[k_most_tile_rows] = {};
  for (std::size_t i = 0; i < lanes; ++i)
    for (std::size_t j = 0; j < classes; ++j)
      e[j * lanes + i] = i < rows ? static_cast<A>(tile.logits[i * tile.logits_stride + j]) : A{0};
  for (std::size_t i = 0; i < rows; ++i) {
    label[i] = static_cast<A>(tile.labels[i]);
    if (tile.labels[i] >= 0) true_logit[i] = e[static_cast<std::size_t>(tile.labels[i]) * lanes + i];
    origin[i] = prologue.Origin(true_logit[i]);
  }

  const V labels = hn::Load(d, label), base = hn::Load(d, origin);
  const V lowest = hn::Set(d, -std::numeric_limits<A>::infinity());
  V top = lowest, true_value = lowest;
  V rival = hn::IfThenElseZero(hn::Eq(labels, hn::Zero(d)), hn::Set(d, A{1}));
  for (std::size_t j = 0; j < classes; ++j) {
    const V v = prologue.AdjustOne(d, hn::LoadU(d, e + j * lanes), base, j), class_j = hn::Set(d, static_cast<A>(j));
    const auto is_label = hn::Eq(labels, class_j);
    const auto is_rival = hn::AndNot(is_label, hn::Gt(v, top));
    top = hn::IfThenElse(is_rival, v, top);
    rival = hn::IfThenElse(is_rival, class_j, rival);
    true_value = hn::IfThenElse(is_label, v, true_value);
    hn::StoreU(v, d, e + j * lanes);
  }
  const V one = hn::Set(d, A{1});
  const ScaledExp exp(d, terms.scale);
  V sum = hn::Zero(d);
  for (std::size_t j = 0; j < classes; ++j) {
    const V v = hn::LoadU(d, e + j * lanes);
    // If the maximum is infinite, the difference of two equal values is NaN, but its exponential is still 1.
    const V value = hn::IfThenElse(hn::Eq(v, top), one, exp(hn::Sub(v, top)));
    sum = hn::Add(sum, hn::IfThenZeroElse(hn::Eq(labels, hn::Set(d, static_cast<A>(j))), value));
    hn::StoreU(value, d, e + j * lanes);
  }

  HWY_ALIGN A sums[k_most_tile_rows] = {}, tops[k_most_tile_rows] = {}, values[k_most_tile_rows] = {},
              rivals[k_most_tile_rows] = {};
  hn::Store(sum, d, sums);
  hn::Store(top, d, tops);
  hn::Store(true_value, d, values);
  hn::Store(rival, d, rivals);
  for (std::size_t i = 0; i < rows; ++i)
    results[i] = {static_cast<double>(tops[i]), static_cast<double>(sums[i]), static_cast<double>(values[i]),
                  static_cast<double>(origin[i]), static_cast<std::int64_t>(rivals[i])};
  for (std::size_t i = 0; classes == 1 && i < rows; ++i)
    if (tile.labels[i] == 0) results[i].rival = -1;
}

template <class T, template <class> class P, class A = Compute<T>>
void BackwardSmallC(const Tile<T>& tile, const ClassTerms<A>& terms, const ForwardResult* results,
                    const double* wrong_dlogit, const double* true_dlogit) {
  const hn::ScalableTag<A> d;
  const auto classes = static_cast<std::size_t>(tile.classes), rows = static_cast<std::size_t>(tile.rows);
  const std::size_t lanes = hn::Lanes(d);
  const P<A> prologue(terms);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto share = static_cast<A>(wrong_dlogit[i] / results[i].sum);
    T* gradient = tile.gradient + i * tile.gradient_stride;
    for (std::size_t j = 0; j < classes; ++j)
      gradient[j] = static_cast<T>(
          static_cast<A>(prologue.Chain(static_cast<double>(tile.exponentials[j * lanes + i] * share), j)));
    if (tile.labels[i] < 0) continue;
    const auto label = static_cast<std::size_t>(tile.labels[i]);
    gradient[label] = static_cast<T>(static_cast<A>(prologue.Chain(true_dlogit[i], label)));
  }
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
