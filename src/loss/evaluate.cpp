// Evaluation of a whole batch, and of a shard of the classes of a batch.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "loss/batch_checks.hpp"
#include "loss/batch_loop.hpp"
#include "loss/batch_view.hpp"
#include "loss/row_hooks.hpp"
#include "loss/weighting.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

void clear_gradients(const FeatureBatch& of) {
  for (const MatrixView<double>& matrix : {of.gradient, of.head_weight_gradient})
    for (std::int64_t i = 0; i < matrix.rows && !matrix.empty(); ++i) std::fill_n(matrix.row(i), matrix.columns, 0.0);
  std::fill(of.head_bias_gradient.begin(), of.head_bias_gradient.end(), 0.0);
}

/// NaN if a feature is infinite: the influence of such a sample would make its loss 0 and hide the overflow.
std::vector<double> l1_norms(MatrixView<const double> features) {
  std::vector<double> norms;
  for (std::int64_t i = 0; i < features.rows; ++i) {
    const double norm = std::accumulate(features.row(i), features.row(i) + features.columns, 0.0,
                                        [](double sum, double h) { return sum + std::fabs(h); });
    norms.push_back(std::isfinite(norm) ? norm : std::numeric_limits<double>::quiet_NaN());
  }
  return norms;
}

/// With a single class the prediction is always correct, whatever its logit.
template <class T>
double evaluate_one_class(MatrixView<const T> logits, std::span<const double> weights, MatrixView<T> gradient,
                          std::span<double> losses) {
  double sum = 0;
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool broken = weights[at] > 0 && !std::isfinite(detail::to_double(*logits.row(i)));
    const double value = broken ? std::numeric_limits<double>::quiet_NaN() : 0;
    if (!losses.empty()) losses[at] = value;
    if (!gradient.empty()) *gradient.row(i) = detail::round_to<T>(value);
    sum += value;
  }
  return sum;
}

/// The data of a batch other than its logits, prepared for the loop over its rows.
struct PreparedBatch {
  detail::Weighting weighting;
  std::vector<double> own_losses, shape_parameters, feature_norms, norm_gradient;
  std::span<double> losses;

  PreparedBatch(const Loss& loss, const LossBatch& batch)
      : weighting(detail::weigh(batch, loss.class_weights())),
        own_losses(batch.losses.empty() ? batch.labels.size() : 0),
        losses(batch.losses.empty() ? own_losses : batch.losses) {
    const KernelParams& params = loss.params();
    if (params.shape == Shape::poly)
      for (std::size_t i = 0; i < batch.labels.size(); ++i)
        shape_parameters.push_back(params.shape_parameter * weighting.unweighted(i));
    if (loss.hooks().shape && loss.active()) {
      feature_norms = l1_norms(batch.features.features);
      norm_gradient.resize(feature_norms.size());
    }
  }

  detail::BatchRows rows(const LossBatch& batch) {
    return {.labels = batch.labels,
            .weights = weighting.weights,
            .losses = losses,
            .correct = batch.correct,
            .shape_parameters = shape_parameters,
            .class_weights = weighting.class_weights,
            .feature_norms = feature_norms,
            .norm_gradient = norm_gradient};
  }

  double reduced_loss() const { return std::accumulate(losses.begin(), losses.end(), 0.0) * weighting.gradient_scale; }

  /// Writes the gradient of the features that comes from their norms.
  void write_feature_gradient(const FeatureBatch& features) const {
    if (feature_norms.empty() || features.gradient.empty()) return;
    for (std::int64_t i = 0; i < features.features.rows; ++i)
      for (std::int64_t k = 0; k < features.features.columns; ++k) {
        const double h = features.features.row(i)[k];
        features.gradient.row(i)[k] = h == 0 ? 0 : norm_gradient[static_cast<std::size_t>(i)] * (h < 0 ? -1 : 1);
      }
  }
};

/// Computes LossBatch::correct from the logits.
template <class T>
void mark_correct(MatrixView<const T> logits, const LossBatch& batch) {
  for (std::size_t i = 0; i < batch.correct.size(); ++i)
    batch.correct[i] =
        detail::is_argmax(logits.row(static_cast<std::int64_t>(i)), logits.columns, batch.labels[i]) ? 1 : 0;
}

void clear_ignored(const LossBatch& batch) {
  for (std::size_t i = 0; i < batch.correct.size(); ++i)
    if (batch.labels[i] == batch.ignore_index) batch.correct[i] = 0;
}

}  // namespace

Normaliser Loss::normaliser(const LossBatch& batch) const {
  detail::check_options(batch, static_cast<std::int64_t>(batch.labels.size()), counts_.classes());
  LossBatch own = batch;
  own.normaliser.reset();
  return detail::weigh(own, class_weights()).normaliser;
}

std::vector<double> Loss::offsets(MatrixView<const double> logits, const LossBatch& batch) const {
  const LossHooks& hooks = hooks_;
  const bool of_batch = hooks.batch_offset && active_;
  if (!hooks.row_offset && !of_batch) return {};
  detail::check_batch<double>(logits, batch, {}, counts_.classes());
  if (counts_.classes() == 1) return {};
  const detail::Weighting weighting = detail::weigh(batch, class_weights());
  std::vector<double> offsets;
  if (of_batch && batch.offsets.empty()) {
    detail::check_needs(spec_.definition(), batch);
    const std::vector<std::int64_t> labels = detail::counted_labels(batch, weighting.weights);
    const BatchView all = detail::make_batch_view(*this, logits, batch, labels);
    offsets = hooks.batch_offset(all);
  }
  offsets.resize(static_cast<std::size_t>(logits.rows * logits.columns));
  if (of_batch && !batch.offsets.empty())
    for (std::int64_t i = 0; i < logits.rows; ++i)
      std::copy_n(batch.offsets.row(i), logits.columns, offsets.begin() + i * logits.columns);
  const detail::RowsInDouble<double> rows{logits, batch, weighting};
  std::vector<double> row(static_cast<std::size_t>(logits.columns));
  for (std::int64_t i = 0; hooks.row_offset && i < logits.rows; ++i)
    if (rows.counts(i))
      hooks.row_offset(rows.read(i, row), state_,
                       std::span(offsets).subspan(static_cast<std::size_t>(i * logits.columns), row.size()));
  return offsets;
}

template <class T>
double Loss::evaluate(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient) const {
  const std::int64_t rows = logits.rows;
  detail::check_batch(logits, batch, gradient, counts_.classes());
  const bool has_term = active_ && hooks_.batch_term, makes_offsets = active_ && hooks_.batch_offset;
  if (rows > 0 && ((active_ && hooks_.shape) || has_term || (makes_offsets && batch.offsets.empty())))
    detail::check_needs(spec_.definition(), batch);
  if (rows > 0 && active_ && hooks_.class_means) check_feature_width(batch.features.features.columns);
  if (batch.reduction == Reduction::none && has_term)
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' has no loss of a single sample, so reduction none cannot apply; "
                            "use weighted-mean or mean",
                            spec_.text()));
  if (batch.normaliser && (has_term || (makes_offsets && batch.offsets.empty())))
    throw Error(ErrorKind::usage, fmt::format("loss '{}' looks at the whole batch, so it cannot be evaluated in chunks "
                                              "with a normaliser; hand in all rows and leave the normaliser out",
                                              spec_.text()));
  clear_gradients(batch.features);
  if (rows == 0) return 0;
  PreparedBatch prepared(*this, batch);
  const detail::Weighting& weighting = prepared.weighting;
  const bool in_kernel = !row_loss_ && !hooks_.row_offset && !makes_offsets && counts_.classes() > 1;
  if (!in_kernel) mark_correct(logits, batch);
  if (counts_.classes() == 1) {
    clear_ignored(batch);
    return evaluate_one_class(logits, weighting.weights, gradient, batch.losses);
  }

  const std::vector<std::int64_t> labels =
      has_term || makes_offsets ? detail::counted_labels(batch, weighting.weights) : std::vector<std::int64_t>();
  std::vector<double> made_offsets;
  MatrixView<const double> offsets = makes_offsets ? batch.offsets : MatrixView<const double>();
  if (makes_offsets && offsets.empty()) {
    made_offsets = hooks_.batch_offset(detail::make_batch_view(*this, logits, batch, labels));
    offsets = {made_offsets.data(), rows, counts_.classes()};
  }
  // In-place evaluation: the term of the whole batch must read the logits before the gradient overwrites them.
  std::vector<T> kept;
  MatrixView<const T> before = logits;
  if (has_term && gradient.data == logits.data) {
    for (std::int64_t i = 0; i < rows; ++i) kept.insert(kept.end(), logits.row(i), logits.row(i) + logits.columns);
    before = {kept.data(), rows, logits.columns};
  }

  const detail::LossNumbers numbers{params_, hooks_, slope_, offset_};
  detail::BatchRows of_rows = prepared.rows(batch);
  if (!in_kernel) of_rows.correct = {};
  const detail::RowsInDouble<T> in_double{logits, batch, weighting};
  if (row_loss_)
    detail::run_row_loss(in_double, row_loss_, gradient, of_rows.losses);
  else if (hooks_.row_offset || makes_offsets)
    detail::run_row_offset(in_double, numbers, state_, offsets, gradient, of_rows);
  else
    detail::BatchLoop<T>(numbers, logits, gradient, of_rows, weighting.gradient_scale).evaluate(batch.threads);
  clear_ignored(batch);
  double value = prepared.reduced_loss();
  prepared.write_feature_gradient(batch.features);
  if (has_term && std::any_of(labels.begin(), labels.end(), [](std::int64_t label) { return label >= 0; })) {
    const BatchView view = detail::make_batch_view(*this, before, batch, labels, gradient);
    if (is_stateful() && state_.values.empty()) {  // the first batch, without an update before it
      LossState state = state_;
      hooks_.apply_update(state, hooks_.collect_update(view, state));
      value += hooks_.batch_term(view, state);
    } else {
      value += hooks_.batch_term(view, state_);
    }
  }
  return value;
}

void Loss::check_shardable() const {
  if (!is_shardable())
    throw Error(ErrorKind::usage, fmt::format("loss '{}' reads whole rows of logits, so it cannot be evaluated on "
                                              "shards of the classes; use evaluate() on all {} classes",
                                              spec_.text(), counts_.classes()));
}

template <class T>
std::vector<RowStatistics> Loss::row_statistics(MatrixView<const T> logits, const LossBatch& batch) const {
  check_shardable();
  detail::check_shard<T>(logits, batch, {}, counts_.classes());
  std::vector<RowStatistics> statistics(batch.labels.size());
  if (logits.rows == 0) return statistics;
  const detail::Weighting weighting = detail::weigh(batch, class_weights());
  const detail::LossNumbers numbers{params_, hooks_, slope_, offset_};
  const detail::BatchRows rows{.labels = batch.labels, .weights = weighting.weights};
  detail::BatchLoop<T>(numbers, logits, {}, rows, 0, batch.class_offset).collect_statistics(statistics, batch.threads);
  return statistics;
}

template <class T>
double Loss::evaluate_shard(MatrixView<const T> logits, const LossBatch& batch,
                            std::span<const RowStatistics> statistics, MatrixView<T> gradient) const {
  check_shardable();
  detail::check_shard(logits, batch, gradient, counts_.classes());
  if (!batch.correct.empty())
    throw Error(ErrorKind::usage,
                "a shard of the classes cannot tell which rows are correct; leave LossBatch::correct "
                "empty and compare true_value with rival_value of the merged statistics");
  if (logits.rows > 0 && active_ && hooks_.shape) detail::check_needs(spec_.definition(), batch);
  PreparedBatch prepared(*this, batch);
  detail::check_statistics(statistics, prepared.weighting.weights, counts_.classes());
  clear_gradients(batch.features);
  if (logits.rows == 0) return 0;
  const std::vector<double>& weights = prepared.weighting.weights;
  if (counts_.classes() == 1) return evaluate_one_class(logits, weights, gradient, batch.losses);
  const detail::LossNumbers numbers{params_, hooks_, slope_, offset_};
  detail::BatchRows rows = prepared.rows(batch);
  rows.statistics = statistics;
  detail::BatchLoop<T>(numbers, logits, gradient, rows, prepared.weighting.gradient_scale, batch.class_offset)
      .evaluate(batch.threads);
  prepared.write_feature_gradient(batch.features);
  return prepared.reduced_loss();
}

template double Loss::evaluate(MatrixView<const float>, const LossBatch&, MatrixView<float>) const;
template std::vector<RowStatistics> Loss::row_statistics(MatrixView<const float>, const LossBatch&) const;
template double Loss::evaluate_shard(MatrixView<const float>, const LossBatch&, std::span<const RowStatistics>,
                                     MatrixView<float>) const;
template double Loss::evaluate(MatrixView<const double>, const LossBatch&, MatrixView<double>) const;
template std::vector<RowStatistics> Loss::row_statistics(MatrixView<const double>, const LossBatch&) const;
template double Loss::evaluate_shard(MatrixView<const double>, const LossBatch&, std::span<const RowStatistics>,
                                     MatrixView<double>) const;
template double Loss::evaluate(MatrixView<const BFloat16>, const LossBatch&, MatrixView<BFloat16>) const;
template std::vector<RowStatistics> Loss::row_statistics(MatrixView<const BFloat16>, const LossBatch&) const;
template double Loss::evaluate_shard(MatrixView<const BFloat16>, const LossBatch&, std::span<const RowStatistics>,
                                     MatrixView<BFloat16>) const;
template double Loss::evaluate(MatrixView<const Half>, const LossBatch&, MatrixView<Half>) const;
template std::vector<RowStatistics> Loss::row_statistics(MatrixView<const Half>, const LossBatch&) const;
template double Loss::evaluate_shard(MatrixView<const Half>, const LossBatch&, std::span<const RowStatistics>,
                                     MatrixView<Half>) const;

}  // namespace ulmus
