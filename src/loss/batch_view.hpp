#pragma once

#include <algorithm>
#include <span>

#include "loss/row_kernel.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus::detail {

/// Makes the view of a batch for hooks that read the whole batch. `labels` are the batch's, -1 for a row that does not
/// count; the gradient may be empty.
template <class T>
BatchView make_batch_view(const Loss& loss, MatrixView<const T> logits, const LossBatch& batch,
                          std::span<const std::int64_t> labels, MatrixView<T> gradient = {}) {
  BatchView view{.rows = logits.rows,
                 .classes = loss.counts().classes(),
                 .labels = labels,
                 .features = batch.features,
                 .class_weights = loss.class_weights(),
                 .positions = batch.positions,
                 .first_position = batch.first_position};
  view.read_logits = [logits](std::int64_t i, std::span<double> row) {
    std::transform(logits.row(i), logits.row(i) + logits.columns, row.begin(), to_double<T>);
  };
  if (!gradient.empty())
    view.add_gradient = [gradient](std::int64_t i, std::span<const double> row) {
      T* target = gradient.row(i);
      for (std::size_t j = 0; j < row.size(); ++j) target[j] = round_to<T>(to_double(target[j]) + row[j]);
    };
  return view;
}

}  // namespace ulmus::detail
