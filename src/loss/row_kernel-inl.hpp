// The row kernel. Included once for every instruction set, from row_kernel.cpp.
//
// Cross entropy is softplus(d) with the distance d = logsumexp over j != y of u[j] - u[y] and u[j] = scale * v[j] (see
// family.hpp). With the rival m, the largest wrong v, everything is written relative to it,
//
//     e[j] = exp(scale * (v[j] - v[m]))     <= 1, and e[m] = 1: no overflow, a sum of at least 1
//     d    = log(sum over j != y of e[j]) + scale * (v[m] - v[y] + margin)
//
// so a common offset of the logits cancels before anything is rounded. From d softplus(d) / dd = sigmoid(d) follows
//
//     dl/dv[j] =  sigmoid(d) * scale * e[j] / sum        j != y
//     dl/dv[y] = -sigmoid(d) * scale
//
// never "probability minus one", so the gradient keeps its digits when the sample is nearly right. What is done once a
// row in the middle is the row epilogue (row_epilogue-inl.hpp); here are the vector sweeps before it (`sweep`: rival,
// e, sum) and after it (`spread`: multiply). `e` lies where the gradient will be, so in place a logit crosses the
// memory bus twice: in, and out as a gradient.
//
// A wide row goes in blocks, each relative to its own largest wrong logit: the second look at a block (the
// exponentials) finds it in the first-level cache, each exponential is computed once however long the row is, and the
// multiplication at the end also moves a block from its own maximum to the row's. While exponentials are computed the
// next row is fetched. Rows of a few classes go across lanes instead (narrow_rows-inl.hpp).
//
// The order of all additions is fixed by the number of classes, the label and the instruction set: the bits of a row
// depend neither on the rows around it nor on alignment nor on whether the gradient is written in place.
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

/// A hole that no sweep meets: the label is in another block.
constexpr std::size_t k_no_hole = static_cast<std::size_t>(-1);

/// Walks over n >= Lanes(d) values: whole(i, v, k) for a vector at i (k < 4 counts through accumulators), and
/// part(i, v, mask) where only some lanes are new and not the hole: at the hole, and at the end. The end is a vector
/// that overlaps the one before it, loaded first, because the sweep may overwrite what it reads.
template <class D, class T, class Whole, class Part>
HWY_INLINE void Sweep(D d, const T* values, std::size_t n, std::size_t hole, Whole whole, Part part) {
  const hn::RebindToSigned<D> index;
  using Index = hn::TFromD<decltype(index)>;
  const std::size_t lanes = hn::Lanes(d), rest = n % lanes, end = n - rest;
  const auto iota = hn::Iota(index, 0);
  const auto but_hole = [&](std::size_t i) HWY_ATTR {
    return hn::RebindMask(d, hn::Ne(iota, hn::Set(index, static_cast<Index>(hole - i))));
  };
  const hn::Vec<D> last = ReadLogits(d, values + n - lanes);
  std::size_t i = 0;
  for (const std::size_t stop : {std::min(end, hole - hole % lanes), end}) {
    for (; i + 4 * lanes <= stop; i += 4 * lanes) {
      whole(i, ReadLogits(d, values + i), 0);
      whole(i + lanes, ReadLogits(d, values + i + lanes), 1);
      whole(i + 2 * lanes, ReadLogits(d, values + i + 2 * lanes), 2);
      whole(i + 3 * lanes, ReadLogits(d, values + i + 3 * lanes), 3);
    }
    for (; i < stop; i += lanes) whole(i, ReadLogits(d, values + i), 0);
    if (i < end) {
      part(i, ReadLogits(d, values + i), but_hole(i));
      i += lanes;
    }
  }
  if (rest != 0) {
    const auto fresh = hn::RebindMask(d, hn::Gt(iota, hn::Set(index, static_cast<Index>(lanes - rest - 1))));
    part(n - lanes, last, hn::And(fresh, but_hole(n - lanes)));
  }
}

/// The largest v but the hole's; a NaN may be passed over, the sum will meet it. Stores v unless `kept` is null.
template <class T, class P, class A = Compute<T>>
HWY_INLINE A BlockMaximum(const T* logits, std::size_t n, std::size_t hole, const P& prologue, A origin, A* kept) {
  const hn::ScalableTag<A> d;
  using V = hn::Vec<decltype(d)>;
  const V base = hn::Set(d, origin), lowest = hn::Set(d, k_minus_infinity<A>);
  V best[4] = {lowest, lowest, lowest, lowest};
  const auto value = [&](std::size_t i, V z) HWY_ATTR {
    const V v = prologue.Adjust(d, z, base, i);
    if (kept != nullptr) hn::StoreU(v, d, kept + i);
    return v;
  };
  Sweep(
      d, logits, n, hole, [&](std::size_t i, V z, int k) HWY_ATTR { best[k] = hn::Max(value(i, z), best[k]); },
      [&](std::size_t i, V z, auto mask)
          HWY_ATTR { best[0] = hn::Max(hn::IfThenElse(mask, value(i, z), lowest), best[0]); });
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(best[0], best[1]), hn::Max(best[2], best[3]))));
}

/// The first class whose v is the maximum; the first wrong class when none is (all NaN).
template <class T, class P, class A = Compute<T>>
HWY_INLINE std::size_t FirstMaximum(const T* logits, std::size_t n, std::size_t hole, const P& prologue, A origin,
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
      if ((bits[k / 8] >> (k % 8) & 1) != 0 && at + k != hole) return at + k;
  }
  return hole == 0 ? 1 : 0;
}

/// What to fetch while a block is worked on: the logits that lie as far into it as the work is into the block.
template <class T>
struct Ahead {
  const T* logits;
  bool to_first_level;
};

/// Stores e = exp(scale * (v - maximum)) (unless `e` is null) and returns their sum without the hole's.
template <class T, class P, class U, class A = Compute<T>>
HWY_INLINE double BlockExponentials(const T* logits, std::size_t n, std::size_t hole, const P& prologue, A origin,
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
  Sweep(
      d, logits, n, hole,
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

/// The same when the maximum is not finite: 1 where v is the maximum, else 0, or NaN.
template <class T, class P, class A = Compute<T>>
HWY_NOINLINE double InfiniteBlockExponentials(const T* logits, std::size_t n, std::size_t hole, const P& prologue,
                                              A origin, A maximum, A* e) {
  double sum = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const A v = prologue.Adjust(static_cast<A>(logits[j]), origin, j);
    const A value = v == maximum ? A{1} : v < maximum ? A{0} : v;
    if (j != hole) sum += static_cast<double>(value);
    if (e != nullptr) e[j] = value;
  }
  return sum;
}

/// Block b of a row: about equal lengths of at least a vector, beginning at multiples of one.
inline std::size_t BlockBegin(std::int64_t b, std::int64_t classes, std::size_t lanes) {
  const auto begin = static_cast<std::size_t>(b * classes / block_count(classes));
  return b == block_count(classes) ? begin : begin - begin % lanes;
}

template <class T, template <class> class P, class A = Compute<T>>
HWY_INLINE RowStatistics SweepRow(const Tile<T>& tile, std::int64_t i, const ClassTerms<A>& terms) {
  const std::int64_t classes = tile.classes, blocks = block_count(classes);
  const std::size_t lanes = hn::Lanes(hn::ScalableTag<A>());
  const T* row = tile.logits + i * tile.logits_stride;
  const T* next = i + 1 < tile.rows ? row + tile.logits_stride : tile.next;
  A* exponentials = tile.exponentials == nullptr ? nullptr : tile.exponentials + i * tile.exponentials_stride;
  double* maxima = tile.maxima + i * blocks;
  const auto label = static_cast<std::size_t>(tile.labels[i]);
  const P<A> whole(terms);
  const auto true_logit = static_cast<A>(row[label]);
  const A origin = whole.Origin(true_logit);
  // A short row is fetched to the first-level cache, one that fits the second-level cache beside its successor (and
  // tables) to that; of a longer one the next block.
  const auto bytes = classes * static_cast<std::int64_t>(sizeof(T));
  const bool short_row = bytes <= (1 << 13), row_ahead = bytes * (P<A>::k_tables ? 3 : 1) <= (1 << 19);

  A top = k_minus_infinity<A>;
  std::int64_t rival = -1;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::size_t begin = BlockBegin(b, classes, lanes), n = BlockBegin(b + 1, classes, lanes) - begin;
    const std::size_t hole = label - begin < n ? label - begin : k_no_hole;
    const P<A> prologue(terms, begin);
    const T* logits = row + begin;
    A* e = exponentials == nullptr ? nullptr : exponentials + begin;
    const Ahead<T> ahead{row_ahead ? next + begin : b + 1 < blocks ? logits + n : next, short_row};
    // What needs tables is made once and kept where the exponentials will be.
    A* kept = P<A>::k_tables ? e : nullptr;
    const A maximum = BlockMaximum(logits, n, hole, prologue, origin, kept);
    maxima[b] = static_cast<double>(maximum);
    const auto rest = [&](const auto* values, const auto& of_values, A base) HWY_ATTR {
      if (maximum > top || b == 0) {
        top = maximum;
        if (tile.wants_rival)
          rival = static_cast<std::int64_t>(begin + FirstMaximum(values, n, hole, of_values, base, maximum));
      }
      tile.sums[b] = std::isfinite(maximum)
                         ? BlockExponentials(values, n, hole, of_values, base, maximum, terms, e, ahead)
                         : InfiniteBlockExponentials(values, n, hole, of_values, base, maximum, e);
    };
    if (kept != nullptr)
      rest(static_cast<const A*>(kept), Uniform<A>(terms), A{0});
    else
      rest(logits, prologue, origin);
  }

  // From here on maxima[b] is the factor that moves block b from its own maximum to the row's.
  double sum = 0;
  const auto row_maximum = static_cast<double>(top);
  for (std::int64_t b = 0; b < blocks; ++b) {
    maxima[b] = maxima[b] == row_maximum ? 1 : std::exp(terms.scale * (maxima[b] - row_maximum));
    sum += tile.sums[b] * maxima[b];
  }
  return {sum, Gap(row_maximum, static_cast<double>(whole.Adjust(true_logit, origin, label))), rival};
}

template <class T, template <class> class P, class A = Compute<T>>
void SweepWide(const Tile<T>& tile, const ClassTerms<A>& terms, RowStatistics* statistics) {
  for (std::int64_t i = 0; i < tile.rows; ++i) statistics[i] = SweepRow<T, P>(tile, i, terms);
}

template <class T, template <class> class P, class A = Compute<T>>
void SpreadWide(const Tile<T>& tile, const ClassTerms<A>& terms, const RowStatistics* statistics, const double* pull,
                const double* true_pull) {
  const hn::ScalableTag<A> d;
  using V = hn::Vec<decltype(d)>;
  const std::int64_t blocks = block_count(tile.classes);
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    const double share = pull[i] / statistics[i].sum;
    const A* exponentials = tile.exponentials + i * tile.exponentials_stride;
    T* row = tile.gradient + i * tile.gradient_stride;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::size_t begin = BlockBegin(b, tile.classes, hn::Lanes(d));
      const std::size_t n = BlockBegin(b + 1, tile.classes, hn::Lanes(d)) - begin;
      const P<A> prologue(terms, begin);
      const V factor = hn::Set(d, static_cast<A>(share * tile.maxima[i * blocks + b]));
      const auto multiply = [&](std::size_t j, V e, auto) HWY_ATTR {
        WriteGradient(d, prologue.Chain(d, hn::Mul(e, factor), j), row + begin + j);
      };
      Sweep(d, exponentials + begin, n, k_no_hole, multiply, multiply);
    }
    const auto label = static_cast<std::size_t>(tile.labels[i]);
    row[label] = static_cast<T>(static_cast<A>(P<A>(terms).Chain(-true_pull[i], label)));
  }
}

template <class T, class A = Compute<T>>
A LargestWrong(const T* row, std::int64_t classes, std::int64_t label) {
  return BlockMaximum(row, static_cast<std::size_t>(classes), static_cast<std::size_t>(label),
                      Uniform<A>(ClassTerms<A>{}), A{0}, static_cast<A*>(nullptr));
}

}  // namespace ulmus::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
