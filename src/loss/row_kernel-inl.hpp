// The row kernel. Included once per instruction set, from row_kernel.cpp.
//
// Cross entropy is softplus(d) with the distance d = logsumexp over j != y of u[j] - u[y] and u[j] = scale * v[j] (see
// family.hpp). Everything is computed relative to the rival m, the incorrect class with the largest v:
//
//     e[j] = exp(scale * (v[j] - v[m]))     <= 1, and e[m] = 1: no overflow, a sum of at least 1
//     d    = log(sum over j != y of e[j]) + scale * (v[m] - v[y] + margin)
//
// so a common offset of the logits cancels before anything is rounded. From d softplus(d) / dd = sigmoid(d) follows
//
//     dl/dv[j] =  sigmoid(d) * scale * e[j] / sum        j != y
//     dl/dv[y] = -sigmoid(d) * scale
//
// never "probability minus one", so the gradient keeps its precision for a sample that is almost correct. The per-row
// computation in the middle is the row epilogue (row_epilogue-inl.hpp); this file has the vector sweeps before it
// (`Forward`: rival, e, sum) and after it (`Backward`: multiply). `e` is stored where the gradient will be, so in place
// a logit crosses the memory bus twice: in as a logit, and out as a gradient.
//
// A row of many classes is divided into blocks, each relative to its own largest incorrect logit: the second pass over
// a block (the exponentials) finds it in the first-level cache, each exponential is computed once for any row length,
// and the multiplication at the end also rescales a block from its own maximum to the row's. While exponentials are
// computed, the next row is prefetched. Rows of a few classes are vectorised across rows instead (small_c-inl.hpp).
//
// The order of all additions is fixed by the number of classes, the label and the instruction set: the bits of a row do
// not depend on the other rows, on alignment, or on whether the gradient is written in place.
#if defined(ULMUS_ROW_KERNEL_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ULMUS_ROW_KERNEL_INL
#undef ULMUS_ROW_KERNEL_INL
#else
#define ULMUS_ROW_KERNEL_INL
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "hwy/highway.h"
#include "loss/class_prologue-inl.hpp"
#include "loss/logit_types-inl.hpp"
#include "loss/row_kernel.hpp"
#include "loss/vector_exp-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ulmus::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class A>
constexpr A k_minus_infinity = -std::numeric_limits<A>::infinity();

/// A skip index that no block contains: the label is in another block, or missing.
constexpr std::size_t k_no_skip = static_cast<std::size_t>(-1);

/// Visits n >= Lanes(d) values: full(i, v, k) for a vector at i, where k < 4 is the accumulator to use, and masked(i,
/// v, mask) if only some lanes are new and not at skip_index: around skip_index, and at the end. The last vector
/// overlaps the one before it. It is loaded first, because full and masked may overwrite what they read.
template <class D, class T, class Full, class Masked>
HWY_INLINE void ForEachVector(D d, const T* values, std::size_t n, std::size_t skip_index, Full full, Masked masked) {
  const hn::RebindToSigned<D> index;
  using Index = hn::TFromD<decltype(index)>;
  const std::size_t lanes = hn::Lanes(d), rest = n % lanes, end = n - rest;
  const auto iota = hn::Iota(index, 0);
  const auto without_skip = [&](std::size_t i) HWY_ATTR {
    return hn::RebindMask(d, hn::Ne(iota, hn::Set(index, static_cast<Index>(skip_index - i))));
  };
  const hn::Vec<D> last = ReadLogits(d, values + n - lanes);
  std::size_t i = 0;
  for (const std::size_t stop : {std::min(end, skip_index - skip_index % lanes), end}) {
    for (; i + 4 * lanes <= stop; i += 4 * lanes) {
      full(i, ReadLogits(d, values + i), 0);
      full(i + lanes, ReadLogits(d, values + i + lanes), 1);
      full(i + 2 * lanes, ReadLogits(d, values + i + 2 * lanes), 2);
      full(i + 3 * lanes, ReadLogits(d, values + i + 3 * lanes), 3);
    }
    for (; i < stop; i += lanes) full(i, ReadLogits(d, values + i), 0);
    if (i < end) {
      masked(i, ReadLogits(d, values + i), without_skip(i));
      i += lanes;
    }
  }
  if (rest != 0) {
    const auto fresh = hn::RebindMask(d, hn::Gt(iota, hn::Set(index, static_cast<Index>(lanes - rest - 1))));
    masked(n - lanes, last, hn::And(fresh, without_skip(n - lanes)));
  }
}

/// The largest v except the one at skip_index. May miss a NaN, which the sum will propagate. Stores v unless `kept` is
/// null.
template <class T, class P, class A = Compute<T>>
HWY_INLINE A BlockMaximum(const T* logits, std::size_t n, std::size_t skip_index, const P& prologue, A origin,
                          A* kept) {
  const hn::ScalableTag<A> d;
  using V = hn::Vec<decltype(d)>;
  const V base = hn::Set(d, origin), lowest = hn::Set(d, k_minus_infinity<A>);
  V best[4] = {lowest, lowest, lowest, lowest};
  const auto value = [&](std::size_t i, V z) HWY_ATTR {
    const V v = prologue.Adjust(d, z, base, i);
    if (kept != nullptr) hn::StoreU(v, d, kept + i);
    return v;
  };
  ForEachVector(
      d, logits, n, skip_index, [&](std::size_t i, V z, int k) HWY_ATTR { best[k] = hn::Max(value(i, z), best[k]); },
      [&](std::size_t i, V z, auto mask)
          HWY_ATTR { best[0] = hn::Max(hn::IfThenElse(mask, value(i, z), lowest), best[0]); });
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(best[0], best[1]), hn::Max(best[2], best[3]))));
}

/// The first class whose v is the maximum; the first incorrect class if none is (all NaN).
template <class T, class P, class A = Compute<T>>
HWY_INLINE std::size_t FirstMaximum(const T* logits, std::size_t n, std::size_t skip_index, const P& prologue, A origin,
                                    A maximum) {
  const hn::ScalableTag<A> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto base = hn::Set(d, origin), sought = hn::Set(d, maximum);
  const auto hits = [&](std::size_t i)
                        HWY_ATTR { return hn::Eq(prologue.Adjust(d, ReadLogits(d, logits + i), base, i), sought); };
  for (std::size_t i = 0; i < n; i += lanes) {
    const std::size_t at = std::min(i, n - lanes);
    if (hn::AllFalse(d, hits(at))) continue;
    HWY_ALIGN std::uint8_t bits[8] = {};
    hn::StoreMaskBits(d, hits(at), bits);
    for (std::size_t k = 0; k < lanes; ++k)
      if ((bits[k / 8] >> (k % 8) & 1) != 0 && at + k != skip_index) return at + k;
  }
  return skip_index == 0 ? 1 : 0;
}

/// The logits to prefetch while a block is processed, at the same relative position as the processing of the block.
template <class T>
struct Ahead {
  const T* logits;
  bool to_first_level;
};

/// Stores e = exp(scale * (v - maximum)) (unless `e` is null) and returns their sum except the one at skip_index.
template <class T, class P, class U, class A = Compute<T>>
HWY_INLINE double BlockExponentials(const T* logits, std::size_t n, std::size_t skip_index, const P& prologue, A origin,
                                    A maximum, const ClassTerms<A>& terms, A* e, Ahead<U> ahead) {
  const hn::ScalableTag<A> d;
  using V = hn::Vec<decltype(d)>;
  const V base = hn::Set(d, origin), top = hn::Set(d, maximum);
  const ScaledExp exp(d, terms.scale);
  V sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  const auto exponential = [&](std::size_t i, V z) HWY_ATTR {
    const V value = exp(hn::Sub(prologue.Adjust(d, z, base, i), top));
    if (e != nullptr) hn::StoreU(value, d, e + i);
    return value;
  };
  ForEachVector(
      d, logits, n, skip_index,
      [&](std::size_t i, V z, int k) HWY_ATTR {
        if (ahead.to_first_level)
          __builtin_prefetch(ahead.logits + i, 0, 3);
        else
          __builtin_prefetch(ahead.logits + i, 0, 2);
        sum[k] = hn::Add(sum[k], exponential(i, z));
      },
      [&](std::size_t i, V z, auto mask)
          HWY_ATTR { sum[0] = hn::Add(sum[0], hn::IfThenElseZero(mask, exponential(i, z))); });
  const V total = hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, total)));
}

/// The same if the maximum is not finite: 1 where v equals the maximum, else 0, or NaN.
template <class T, class P, class A = Compute<T>>
HWY_NOINLINE double InfiniteBlockExponentials(const T* logits, std::size_t n, std::size_t skip_index, const P& prologue,
                                              A origin, A maximum, A* e) {
  double sum = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const A v = prologue.Adjust(static_cast<A>(logits[j]), origin, j);
    const A value = v == maximum ? A{1} : v < maximum ? A{0} : v;
    if (j != skip_index) sum += static_cast<double>(value);
    if (e != nullptr) e[j] = value;
  }
  return sum;
}

/// Block b of a row: blocks have about equal lengths of at least one vector and begin at multiples of a vector.
inline std::size_t BlockBegin(std::int64_t b, std::int64_t classes, std::size_t lanes) {
  const auto begin = static_cast<std::size_t>(b * classes / block_count(classes));
  return b == block_count(classes) ? begin : begin - begin % lanes;
}

template <class T, template <class> class P, class A = Compute<T>>
HWY_INLINE ForwardResult ForwardRow(const Tile<T>& tile, std::int64_t i, const ClassTerms<A>& terms) {
  const std::int64_t classes = tile.classes, blocks = block_count(classes);
  const std::size_t lanes = hn::Lanes(hn::ScalableTag<A>());
  const T* row = tile.logits + i * tile.logits_stride;
  const T* next = i + 1 < tile.rows ? row + tile.logits_stride : tile.next;
  A* exponentials = tile.exponentials == nullptr ? nullptr : tile.exponentials + i * tile.exponentials_stride;
  double* maxima = tile.maxima + i * blocks;
  const bool has_label = tile.labels[i] >= 0;
  const auto label = static_cast<std::size_t>(tile.labels[i]);  // missing: beyond every block
  const P<A> row_prologue(terms);
  const A true_logit = has_label ? static_cast<A>(row[label]) : A{0};
  const A origin = row_prologue.Origin(true_logit);
  // A short row is prefetched to the first-level cache, and a row that fits the second-level cache together with the
  // next row and the tables to the second level; of a longer row only the next block is prefetched.
  const auto bytes = classes * static_cast<std::int64_t>(sizeof(T));
  const bool short_row = bytes <= (1 << 13), row_ahead = bytes * (P<A>::k_tables ? 3 : 1) <= (1 << 19);

  A top = k_minus_infinity<A>;
  std::int64_t rival = -1;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::size_t begin = BlockBegin(b, classes, lanes), n = BlockBegin(b + 1, classes, lanes) - begin;
    const std::size_t skip_index = label - begin < n ? label - begin : k_no_skip;
    const P<A> prologue(terms, begin);
    const T* logits = row + begin;
    A* e = exponentials == nullptr ? nullptr : exponentials + begin;
    const Ahead<T> ahead{row_ahead ? next + begin : b + 1 < blocks ? logits + n : next, short_row};
    // Values of v that need tables are computed once and kept in the memory of the exponentials.
    A* kept = P<A>::k_tables ? e : nullptr;
    const A maximum = BlockMaximum(logits, n, skip_index, prologue, origin, kept);
    maxima[b] = static_cast<double>(maximum);
    const auto rest = [&](const auto* values, const auto& of_values, A base) HWY_ATTR {
      if (maximum > top || b == 0) {
        top = maximum;
        if (tile.wants_rival)
          rival = static_cast<std::int64_t>(begin + FirstMaximum(values, n, skip_index, of_values, base, maximum));
      }
      tile.sums[b] = std::isfinite(maximum)
                         ? BlockExponentials(values, n, skip_index, of_values, base, maximum, terms, e, ahead)
                         : InfiniteBlockExponentials(values, n, skip_index, of_values, base, maximum, e);
    };
    if (kept != nullptr)
      rest(static_cast<const A*>(kept), Uniform<A>(terms), A{0});
    else
      rest(logits, prologue, origin);
  }

  // From here on maxima[b] is the factor that rescales block b from its own maximum to the row's.
  double sum = 0;
  const auto row_maximum = static_cast<double>(top);
  for (std::int64_t b = 0; b < blocks; ++b) {
    maxima[b] = maxima[b] == row_maximum ? 1 : std::exp(terms.scale * (maxima[b] - row_maximum));
    sum += tile.sums[b] * maxima[b];
  }
  const double true_value =
      has_label ? static_cast<double>(row_prologue.Adjust(true_logit, origin, label)) : k_minus_infinity<double>;
  return {row_maximum, sum, true_value, static_cast<double>(origin), rival};
}

template <class T, template <class> class P, class A = Compute<T>>
void ForwardLargeC(const Tile<T>& tile, const ClassTerms<A>& terms, ForwardResult* results) {
  for (std::int64_t i = 0; i < tile.rows; ++i) results[i] = ForwardRow<T, P>(tile, i, terms);
}

template <class T, template <class> class P, class A = Compute<T>>
void BackwardLargeC(const Tile<T>& tile, const ClassTerms<A>& terms, const ForwardResult* results,
                    const double* wrong_dlogit, const double* true_dlogit) {
  const hn::ScalableTag<A> d;
  using V = hn::Vec<decltype(d)>;
  const std::int64_t blocks = block_count(tile.classes);
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    const double share = wrong_dlogit[i] / results[i].sum;
    const A* exponentials = tile.exponentials + i * tile.exponentials_stride;
    T* row = tile.gradient + i * tile.gradient_stride;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::size_t begin = BlockBegin(b, tile.classes, hn::Lanes(d));
      const std::size_t n = BlockBegin(b + 1, tile.classes, hn::Lanes(d)) - begin;
      const P<A> prologue(terms, begin);
      const V factor = hn::Set(d, static_cast<A>(share * tile.maxima[i * blocks + b]));
      const auto multiply = [&](std::size_t j, V e, auto)
                                HWY_ATTR { WriteLogits(d, prologue.Chain(d, hn::Mul(e, factor), j), row + begin + j); };
      ForEachVector(d, exponentials + begin, n, k_no_skip, multiply, multiply);
    }
    if (tile.labels[i] < 0) continue;
    const auto label = static_cast<std::size_t>(tile.labels[i]);
    row[label] = static_cast<T>(static_cast<A>(P<A>(terms).Chain(true_dlogit[i], label)));
  }
}

template <class T, class A = Compute<T>>
A LargestWrongLogit(const T* row, std::int64_t classes, std::int64_t label) {
  return BlockMaximum(row, static_cast<std::size_t>(classes), static_cast<std::size_t>(label),
                      Uniform<A>(ClassTerms<A>{}), A{0}, static_cast<A*>(nullptr));
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
