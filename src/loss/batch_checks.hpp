#pragma once

#include <cstdint>

#include "ulmus/loss/loss.hpp"

/// Validation of a batch at the interface of the loss module, before anything is read or written. Code behind it does
/// not check shapes again.
namespace ulmus::detail {

/// Checks everything except the logits: labels, weights, features, head, offsets and noise, against `rows` and
/// `classes`. Throws Error{data} for the first that does not match.
void check_options(const LossBatch& batch, std::int64_t rows, std::int64_t classes);

/// Address and shape of a matrix.
struct Layout {
  bool null;
  std::int64_t rows, columns, row_stride;
  std::int64_t element_bytes;
};

/// Throws Error{data} unless the logits are [N, classes] and the gradient, if any, has the same shape.
void check_logits(const Layout& logits, const Layout& gradient, std::int64_t classes);

/// Throws Error{data} unless the logits cover `columns` of `classes` classes, starting at class_offset.
void check_classes(std::int64_t columns, std::int64_t class_offset, std::int64_t classes);

/// Throws Error{data} unless there is one per row, whose rival is one of the classes if the row counts.
void check_statistics(std::span<const RowStatistics> statistics, std::span<const double> weights, std::int64_t classes);

/// Checks all of a batch.
template <class T>
void check_batch(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient, std::int64_t classes) {
  const auto layout = [](const auto& of) { return Layout{of.empty(), of.rows, of.columns, of.row_stride, sizeof(T)}; };
  check_logits(layout(logits), layout(gradient), classes);
  check_options(batch, logits.rows, classes);
  if (batch.class_offset != 0) check_classes(logits.columns, batch.class_offset, classes);
}

/// Checks all of a batch that has the logits of a shard of the classes.
template <class T>
void check_shard(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient, std::int64_t classes) {
  check_classes(logits.columns, batch.class_offset, classes);
  const auto layout = [](const auto& of) { return Layout{of.empty(), of.rows, of.columns, of.row_stride, sizeof(T)}; };
  check_logits(layout(logits), layout(gradient), logits.columns);
  check_options(batch, logits.rows, classes);
}

/// Throws Error{usage} if the loss needs features or a head and they are missing.
void check_needs(const LossDefinition& definition, const LossBatch& batch);

}  // namespace ulmus::detail
