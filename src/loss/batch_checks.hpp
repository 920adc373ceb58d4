#pragma once

#include <cstdint>

#include "ulmus/loss/loss.hpp"

/// What is checked of a batch at the border of the loss room, before anything is read or written. Behind it nothing
/// checks a shape again.
namespace ulmus::detail {

/// The batch beside its logits: labels, weights, features, head, offsets and noise against `rows` and `classes`.
/// Throws Error{data} for the first that does not fit.
void check_options(const LossBatch& batch, std::int64_t rows, std::int64_t classes);

/// A matrix as its fields tell it.
struct Layout {
  bool null;
  std::int64_t rows, columns, row_stride;
  std::int64_t element_bytes;
};

/// Throws Error{data} unless the logits are [N, classes] and the gradient, where there is one, is as large.
void check_logits(const Layout& logits, const Layout& gradient, std::int64_t classes);

/// Throws Error{data} unless the logits are of `columns` of `classes` classes, from class_offset on.
void check_classes(std::int64_t columns, std::int64_t class_offset, std::int64_t classes);

/// Throws Error{data} unless there is one for each row, with a rival among the classes where the row counts.
void check_statistics(std::span<const RowStatistics> statistics, std::span<const double> weights, std::int64_t classes);

/// All of a batch.
template <class T>
void check_batch(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient, std::int64_t classes) {
  const auto layout = [](const auto& of) { return Layout{of.empty(), of.rows, of.columns, of.row_stride, sizeof(T)}; };
  check_logits(layout(logits), layout(gradient), classes);
  check_options(batch, logits.rows, classes);
  if (batch.class_offset != 0) check_classes(logits.columns, batch.class_offset, classes);
}

/// All of a batch of which the logits of some classes are here.
template <class T>
void check_shard(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient, std::int64_t classes) {
  check_classes(logits.columns, batch.class_offset, classes);
  const auto layout = [](const auto& of) { return Layout{of.empty(), of.rows, of.columns, of.row_stride, sizeof(T)}; };
  check_logits(layout(logits), layout(gradient), logits.columns);
  check_options(batch, logits.rows, classes);
}

/// Throws Error{usage} when the loss needs features or a head that did not come.
void check_needs(const LossDefinition& definition, const LossBatch& batch);

}  // namespace ulmus::detail
