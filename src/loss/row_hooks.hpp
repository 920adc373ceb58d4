#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "loss/batch_loop.hpp"
#include "loss/weighting.hpp"

/// Evaluation of losses whose hooks process one row at a time, in double.
namespace ulmus::detail {

/// The rows of a batch in double, in chunks that stay in the cache.
template <class T>
struct RowsInDouble {
  static constexpr std::int64_t k_chunk_logits = 1 << 13;

  MatrixView<const T> logits;
  const LossBatch& batch;
  const Weighting& weighting;

  /// Calls of_chunk(begin, end) for all rows, on several threads; each chunk runs on one thread.
  template <class OfChunk>
  void for_each_chunk(OfChunk of_chunk) const {
    const std::int64_t chunk_rows = std::max<std::int64_t>(1, k_chunk_logits / logits.columns);
    const std::int64_t chunks = (logits.rows + chunk_rows - 1) / chunk_rows;
    const int threads = team_size(logits.rows * logits.columns, chunks, batch.threads);
    on_threads(threads, [&](std::int64_t me, std::int64_t of) {
      for (std::int64_t c = chunks * me / of; c < chunks * (me + 1) / of; ++c)
        of_chunk(c * chunk_rows, std::min(logits.rows, (c + 1) * chunk_rows));
    });
  }

  bool counts(std::int64_t i) const { return weighting.weights[static_cast<std::size_t>(i)] > 0; }

  /// Reads row i in the form that hooks take; `row`, [C], receives its logits.
  Sample read(std::int64_t i, std::span<double> row) const {
    std::transform(logits.row(i), logits.row(i) + logits.columns, row.begin(), to_double<T>);
    Sample sample{.logits = row,
                  .label = batch.labels[static_cast<std::size_t>(i)],
                  .position = batch.position(i),
                  .unweighted = weighting.unweighted(static_cast<std::size_t>(i))};
    if (!batch.noise.empty()) sample.noise = {batch.noise.row(i), row.size()};
    return sample;
  }
};

/// True if a logit is +infinity or NaN; -infinity masks a class.
inline bool has_overflowed(std::span<const double> logits) {
  std::int64_t overflowed = 0;  // as wide as a logit, so that the loop is vectorised
  for (const double z : logits) overflowed += !(z < std::numeric_limits<double>::infinity());
  return overflowed > 0;
}

/// Evaluates a loss with its own row loss.
template <class T>
void run_row_loss(const RowsInDouble<T>& rows,
                  const std::function<double(const Sample& sample, std::span<double> gradient)>& row_loss,
                  MatrixView<T> gradient, std::span<double> losses) {
  const auto classes = static_cast<std::size_t>(rows.logits.columns);
  rows.for_each_chunk([&](std::int64_t begin, std::int64_t end) {
    std::vector<double> row(classes), dlogits(classes);
    for (std::int64_t i = begin; i < end; ++i) {
      const double weight = rows.weighting.weights[static_cast<std::size_t>(i)];
      double& loss = losses[static_cast<std::size_t>(i)];
      loss = 0;
      if (!rows.counts(i)) {
        std::fill(dlogits.begin(), dlogits.end(), 0);
      } else if (const Sample sample = rows.read(i, row); has_overflowed(row)) {
        loss = std::numeric_limits<double>::quiet_NaN();
        std::fill(dlogits.begin(), dlogits.end(), loss);
      } else {
        loss = weight * row_loss(sample, dlogits);
        for (double& g : dlogits) g *= weight * rows.weighting.gradient_scale;
      }
      if (!gradient.empty()) std::transform(dlogits.begin(), dlogits.end(), gradient.row(i), round_to<T>);
    }
  });
}

/// Evaluates a loss with offsets for each row: they are added to a copy of the row, which goes through the kernel.
/// `offsets`, [N, C], come from the whole batch; empty: none.
template <class T>
void run_row_offset(const RowsInDouble<T>& rows, const LossNumbers& numbers, const LossState& state,
                    MatrixView<const double> offsets, MatrixView<T> gradient, const BatchRows& of_rows) {
  using A = Compute<T>;
  const std::int64_t classes = rows.logits.columns;
  rows.for_each_chunk([&](std::int64_t begin, std::int64_t end) {
    const auto size = static_cast<std::size_t>(classes);
    std::vector<double> row(size), offset(size);
    std::vector<A> moved(size * static_cast<std::size_t>(end - begin));
    for (std::int64_t i = begin; i < end; ++i) {
      if (!rows.counts(i)) continue;  // the row stays zero
      const Sample sample = rows.read(i, row);
      std::fill(offset.begin(), offset.end(), 0);
      if (!offsets.empty()) std::copy_n(offsets.row(i), classes, offset.begin());
      if (numbers.hooks.row_offset) numbers.hooks.row_offset(sample, state, offset);
      A* copy = moved.data() + (i - begin) * classes;
      for (std::size_t j = 0; j < size; ++j) copy[j] = static_cast<A>(row[j] + offset[j] / numbers.params.scale);
    }
    MatrixView<A> target;
    if (!gradient.empty()) {
      if constexpr (std::is_same_v<T, A>)
        target = {gradient.row(begin), end - begin, classes, gradient.row_stride};
      else
        target = {moved.data(), end - begin, classes};
    }
    const MatrixView<const A> input(moved.data(), end - begin, classes);
    BatchLoop<A>(numbers, input, target, of_rows.slice(begin, end), rows.weighting.gradient_scale).evaluate(1);
    if constexpr (!std::is_same_v<T, A>)
      if (!gradient.empty())
        for (std::int64_t i = begin; i < end; ++i)
          std::transform(target.row(i - begin), target.row(i - begin) + classes, gradient.row(i),
                         [](A g) { return static_cast<T>(g); });
  });
}

}  // namespace ulmus::detail
