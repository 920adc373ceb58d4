#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "loss/flush_to_zero.hpp"
#include "loss/parallel.hpp"
#include "loss/rescale.hpp"
#include "loss/row_kernel.hpp"
#include "loss/true_logit.hpp"
#include "ulmus/loss/hooks.hpp"
#include "ulmus/loss/kernel_params.hpp"
#include "ulmus/loss/row_statistics.hpp"
#include "ulmus/loss/view.hpp"

/// The loop over the rows of a batch that calls the row kernel: tiles of rows, on several threads.
namespace ulmus::detail {

/// The parameters of a loss, with slopes and offsets also in the type in which float, bfloat16 and half are computed.
struct LossNumbers {
  const KernelParams& params;
  const LossHooks& hooks;
  std::span<const float> slope, offset;  ///< [C]; empty: none
};

/// Inputs and outputs per row other than logits and gradient; all [N].
struct BatchRows {
  std::span<const std::int64_t> labels;      ///< numbered among all C classes
  std::span<const double> weights;           ///< 0 for an ignored row
  std::span<double> losses;                  ///< output
  std::span<std::uint8_t> correct;           ///< output, see LossBatch; empty: not computed
  std::span<const double> shape_parameters;  ///< one per row; empty: the parameter of the loss

  // For a shape that depends on more than the cross entropy.
  std::span<const double> class_weights;
  std::span<const double> feature_norms;
  std::span<double> norm_gradient;  ///< output

  /// Statistics of all classes if the logits are those of a shard; empty: the logits cover all classes.
  std::span<const RowStatistics> statistics;

  BatchRows slice(std::int64_t begin, std::int64_t end) const {
    const auto cut = [&](auto values) {
      return values.empty() ? values
                            : values.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    };
    return {cut(labels),        cut(weights),       cut(losses),        cut(correct),   cut(shape_parameters),
            cut(class_weights), cut(feature_norms), cut(norm_gradient), cut(statistics)};
  }
};

/// Returns whether argmax, as defined by torch, is the label: NaN counts as the largest, and among equal values the
/// lowest class wins.
template <class T>
bool is_argmax(const T* row, std::int64_t classes, std::int64_t label) {
  if (label < 0 || label >= classes) return false;
  const double z = to_double(row[label]);
  for (std::int64_t j = 0; j < classes; ++j) {
    const double other = to_double(row[j]);
    const bool ahead = std::isnan(z) ? std::isnan(other) && j < label : !(other < z) && (!(other == z) || j < label);
    if (j != label && ahead) return false;
  }
  return true;
}

/// Runs one batch, or a shard [N, columns] of its classes, through the row kernel.
template <class T>
class BatchLoop {
 public:
  using A = Compute<T>;

  /// The logits are those of the classes [class_offset, class_offset + columns).
  BatchLoop(const LossNumbers& numbers, MatrixView<const T> logits, MatrixView<T> gradient, const BatchRows& rows,
            double gradient_scale, std::int64_t class_offset = 0)
      : params_(numbers.params),
        hooks_(numbers.hooks),
        logits_(logits),
        gradient_(gradient),
        rows_(rows),
        terms_{.scale = params_.scale},
        gradient_scale_(gradient_scale),
        class_offset_(class_offset) {
    const auto of_shard = [class_offset](const auto& table) {
      return table.empty() ? nullptr : table.data() + class_offset;
    };
    if constexpr (std::is_same_v<A, double>) {
      terms_.slope = of_shard(params_.slope);
      terms_.offset = of_shard(params_.offset);
    } else {
      terms_.slope = of_shard(numbers.slope);
      terms_.offset = of_shard(numbers.offset);
    }
    const bool scaled = terms_.slope != nullptr, shifted = terms_.offset != nullptr;
    const RowKernels& kernels = row_kernels();
    const auto& of_type = kernels.of<T>();
    kernel_ = scaled && shifted ? (small_c() ? of_type.small_c_affine : of_type.large_c_affine)
              : scaled          ? (small_c() ? of_type.small_c_scaled : of_type.large_c_scaled)
              : shifted         ? (small_c() ? of_type.small_c_shifted : of_type.large_c_shifted)
                                : (small_c() ? of_type.small_c_uniform : of_type.large_c_uniform);
    largest_wrong_logit_ = of_type.largest_wrong_logit;
    epilogue_ = params_.shape == Shape::focal  ? kernels.focal
                : params_.shape == Shape::poly ? kernels.poly
                                               : kernels.plain;
  }

  /// Computes losses and gradients of all rows, on at most `most_threads` threads (see team_size).
  void evaluate(int most_threads) const {
    for_each_tile(most_threads, [this](std::int64_t t, bool has_next, Workspace& workspace) {
      evaluate_tile(t, has_next, workspace);
    });
  }

  /// Computes statistics of all rows over the classes of the shard, [N]; those of a row that does not count stay
  /// unchanged.
  void collect_statistics(std::span<RowStatistics> statistics, int most_threads) const {
    for_each_tile(most_threads, [this, statistics](std::int64_t t, bool has_next, Workspace& workspace) {
      collect_tile(t, has_next, workspace, statistics);
    });
  }

 private:
  static constexpr auto k_most_rows = static_cast<std::size_t>(k_most_tile_rows);
  using OfRows = std::array<double, k_most_rows>;

  /// Buffers of one thread: exponentials, unless they are stored in the gradient itself, and the blocks of the rows.
  struct Workspace {
    std::vector<A> exponentials;
    std::vector<double> maxima, sums;
  };

  /// The rows of a tile and their true logits. The arrays are not cleared: with few classes that would take as long as
  /// the gradient.
  struct TileRows {
    std::int64_t begin;
    std::size_t count;
    std::array<std::int64_t, k_most_rows> label;  ///< index among these logits; -1: in another shard
    OfRows true_logit;                            ///< z[y]
    OfRows rival_logit;                           ///< the largest incorrect z
    OfRows true_slope;                            ///< dt / dv[y]
    OfRows lowered;                               ///< v[y] - t, the amount by which the margin lowers the true logit
    OfRows sum, gap;                              ///< inputs of the epilogue
    OfRows wrong_dlogit, true_dlogit;             ///< sum over j != y of dl/dv[j], and dl/dv[y]
  };

  bool small_c() const { return logits_.columns <= k_small_c; }
  std::int64_t tile_rows() const {
    return small_c() ? kernel_.rows : logits_.columns <= k_shared_call_classes ? k_most_tile_rows : 1;
  }
  bool adjusts_logits() const { return terms_.slope != nullptr || terms_.offset != nullptr; }
  bool moves_true_logit() const { return params_.true_logit.kind != TrueLogitRule::Kind::margins; }
  bool in_place() const { return static_cast<const void*>(gradient_.data) == static_cast<const void*>(logits_.data); }

  Workspace make_workspace() const {
    const std::int64_t blocks = block_count(logits_.columns);
    Workspace workspace;
    if (small_c() || (!std::is_same_v<T, A> && !gradient_.empty()))
      workspace.exponentials.resize(static_cast<std::size_t>(logits_.columns * tile_rows()));
    workspace.maxima.resize(static_cast<std::size_t>(blocks * tile_rows()));
    workspace.sums.resize(static_cast<std::size_t>(blocks));
    return workspace;
  }

  template <class Body>
  void for_each_tile(int most_threads, const Body& body) const {
    const std::int64_t tiles = (logits_.rows + tile_rows() - 1) / tile_rows();
    const int threads = team_size(logits_.rows * logits_.columns, tiles, most_threads);
    std::vector<Workspace> workspaces(static_cast<std::size_t>(threads));
    for (auto& workspace : workspaces) workspace = make_workspace();
    const auto share = [&](std::int64_t first, std::int64_t last, Workspace& workspace) {
      [[maybe_unused]] const FlushToZero flush;
      for (std::int64_t t = first; t < last; ++t) body(t, t + 1 < last, workspace);
    };
    if (threads == 1) return share(0, tiles, workspaces[0]);
    on_threads(threads, [&](std::int64_t me, std::int64_t of) {
      share(tiles * me / of, tiles * (me + 1) / of, workspaces[static_cast<std::size_t>(me)]);
    });
  }

  /// A row that does not count is processed with a valid label.
  TileRows make_rows(std::int64_t t) const {
    TileRows tile;
    tile.begin = t * tile_rows();
    tile.count = static_cast<std::size_t>(std::min(tile_rows(), logits_.rows - tile.begin));
    for (std::size_t i = 0; i < tile.count; ++i) {
      const std::int64_t label = rows_.labels.data()[tile.begin + static_cast<std::int64_t>(i)] - class_offset_;
      const bool here = label >= 0 && label < logits_.columns;
      tile.label[i] = !(weight(tile, i) > 0) ? 0 : here ? label : -1;
    }
    tile.true_slope.fill(1);
    for (std::size_t i = tile.count; i < k_most_rows; ++i) tile.sum[i] = tile.gap[i] = 0;  // the epilogue reads them
    return tile;
  }

  Tile<T> make_tile(const TileRows& rows, bool has_next, Workspace& workspace, bool wants_rival) const {
    Tile<T> tile{.logits = logits_.row(rows.begin),
                 .logits_stride = logits_.row_stride,
                 .gradient = gradient_.empty() ? nullptr : gradient_.row(rows.begin),
                 .gradient_stride = gradient_.row_stride,
                 .labels = rows.label.data(),
                 .rows = static_cast<std::int64_t>(rows.count),
                 .classes = logits_.columns,
                 .wants_rival = wants_rival,
                 .next = logits_.row(has_next ? rows.begin + tile_rows() : rows.begin),
                 .exponentials = workspace.exponentials.empty() ? nullptr : workspace.exponentials.data(),
                 .exponentials_stride = logits_.columns,
                 .maxima = workspace.maxima.data(),
                 .sums = workspace.sums.data()};
    if constexpr (std::is_same_v<T, A>)
      if (tile.exponentials == nullptr) {
        tile.exponentials = tile.gradient;
        tile.exponentials_stride = tile.gradient_stride;
      }
    return tile;
  }

  double weight(const TileRows& tile, std::size_t i) const {
    return rows_.weights.data()[tile.begin + static_cast<std::int64_t>(i)];
  }
  const T* logits_of(const TileRows& tile, std::size_t i) const {
    return logits_.row(tile.begin + static_cast<std::int64_t>(i));
  }

  void evaluate_tile(std::int64_t t, bool has_next, Workspace& workspace) const noexcept {
    TileRows rows = make_rows(t);
    std::array<ForwardResult, k_most_rows> results;
    const Tile<T> tile = make_tile(rows, has_next, workspace, !params_.rival_margin.empty());
    if (rows_.statistics.empty())
      forward(tile, rows, results.data());
    else
      forward_shard(tile, rows, results.data());
    run_epilogue(rows);
    if (gradient_.empty()) return;
    kernel_.backward(tile, terms_, results.data(), rows.wrong_dlogit.data(), rows.true_dlogit.data());
    for (std::size_t i = 0; i < rows.count; ++i)
      if (!(weight(rows, i) > 0))
        std::fill_n(gradient_.row(rows.begin + static_cast<std::int64_t>(i)), logits_.columns, T(0));
  }

  /// The forward sweep over all classes.
  void forward(const Tile<T>& tile, TileRows& rows, ForwardResult* results) const {
    // Rule and accuracy read the logits, which the sweep may overwrite with its exponentials.
    const bool reads_logits = moves_true_logit() || !rows_.correct.empty();
    for (std::size_t i = 0; reads_logits && i < rows.count; ++i) {
      const T* z = logits_of(rows, i);
      rows.true_logit[i] = to_double(z[rows.label[i]]);
      if (adjusts_logits()) rows.rival_logit[i] = largest_wrong_logit(z, rows.label[i]);
      if (!rows_.correct.empty() && in_place()) mark_by_argmax(rows, i);
    }
    kernel_.forward(tile, terms_, results);
    if (!moves_true_logit() && rows_.correct.empty()) {  // the common case: only margins
      for (std::size_t i = 0; i < rows.count; ++i) {
        rows.sum[i] = results[i].sum;
        rows.gap[i] =
            terms_.scale * (gap(results[i].maximum, results[i].true_value) + margin(rows.label[i], results[i].rival));
      }
      return;
    }
    for (std::size_t i = 0; i < rows.count; ++i) {
      rows.sum[i] = results[i].sum;
      rows.gap[i] = gap(results[i].maximum, results[i].true_value);
      if (!adjusts_logits()) rows.rival_logit[i] = rows.true_logit[i] + rows.gap[i];
      if (!rows_.correct.empty() && !in_place()) mark_correct(rows, i);
    }
    lower_true_logits(rows, [results](std::size_t i) { return results[i].rival; });
    for (std::size_t i = 0; i < rows.count; ++i) rows.gap[i] = terms_.scale * (rows.gap[i] + rows.lowered[i]);
  }

  /// The forward sweep over the classes of a shard, for the gradient, given the statistics of all classes.
  void forward_shard(const Tile<T>& tile, TileRows& rows, ForwardResult* results) const {
    const RowStatistics* all = rows_.statistics.data() + rows.begin;
    for (std::size_t i = 0; i < rows.count; ++i) {
      rows.true_logit[i] = all[i].true_value;
      rows.rival_logit[i] = all[i].rival_value;
    }
    lower_true_logits(rows, [all](std::size_t i) { return all[i].rival_class; });
    for (std::size_t i = 0; i < rows.count; ++i) {
      rows.sum[i] = all[i].sum;
      rows.gap[i] = gap(all[i].maximum, terms_.scale * adjusted(all[i].true_value, label_of_all(rows, i))) +
                    terms_.scale * rows.lowered[i];
    }
    if (gradient_.empty()) return;
    kernel_.forward(tile, terms_, results);
    for (std::size_t i = 0; i < rows.count; ++i)
      results[i].sum = all[i].sum / rescale(terms_.scale * (results[i].maximum + results[i].origin), all[i].maximum);
  }

  void collect_tile(std::int64_t t, bool has_next, Workspace& workspace,
                    std::span<RowStatistics> statistics) const noexcept {
    const TileRows rows = make_rows(t);
    std::array<ForwardResult, k_most_rows> results;
    kernel_.forward(make_tile(rows, has_next, workspace, true), terms_, results.data());
    for (std::size_t i = 0; i < rows.count; ++i) {
      if (!(weight(rows, i) > 0)) continue;
      const T* z = logits_of(rows, i);
      const std::int64_t label = rows.label[i], rival = results[i].rival;
      statistics[static_cast<std::size_t>(rows.begin) + i] = {
          .maximum = terms_.scale * (results[i].maximum + results[i].origin),
          .sum = results[i].sum,
          .true_value = label < 0 ? -std::numeric_limits<double>::infinity() : to_double(z[label]),
          .rival_value = adjusts_logits() ? largest_wrong_logit(z, label) : results[i].maximum,
          .rival_class = rival < 0 ? -1 : rival + class_offset_};
    }
  }

  /// Lowers the true logits by the rule or by the margins; `rival(i)` is the class of row i's rival.
  template <class Rival>
  void lower_true_logits(TileRows& rows, const Rival& rival) const {
    if (!moves_true_logit()) {
      for (std::size_t i = 0; i < rows.count; ++i) rows.lowered[i] = margin(label_of_all(rows, i), rival(i));
      return;
    }
    std::array<std::int64_t, k_most_rows> label;
    for (std::size_t i = 0; i < rows.count; ++i) label[i] = label_of_all(rows, i);
    OfRows moved;
    move_true_logits(params_.true_logit, {.z = {rows.true_logit.data(), rows.count},
                                          .rival = {rows.rival_logit.data(), rows.count},
                                          .label = {label.data(), rows.count},
                                          .t = {moved.data(), rows.count},
                                          .slope = {rows.true_slope.data(), rows.count}});
    for (std::size_t i = 0; i < rows.count; ++i) rows.lowered[i] = rows.true_logit[i] - moved[i];
  }

  /// Computes the losses of the samples and the sums of their gradients.
  void run_epilogue(TileRows& rows) const {
    OfRows shape_parameter, value, slope;
    shape_parameter.fill(params_.shape_parameter);
    if (!rows_.shape_parameters.empty())
      std::copy_n(rows_.shape_parameters.data() + rows.begin, rows.count, shape_parameter.begin());
    epilogue_(shape_parameter.data(), static_cast<std::int64_t>(rows.count), rows.sum.data(), rows.gap.data(),
              value.data(), slope.data());
    for (std::size_t i = 0; i < rows.count; ++i) {
      const double w = weight(rows, i);
      if (hooks_.shape && !rows_.feature_norms.empty())
        apply_shape(static_cast<std::size_t>(rows.begin) + i, value[i], slope[i]);
      rows_.losses.data()[rows.begin + static_cast<std::int64_t>(i)] = w > 0 ? w * value[i] : 0;
      rows.wrong_dlogit[i] = w * slope[i] * terms_.scale * gradient_scale_;
      rows.true_dlogit[i] = -(rows.true_slope[i] * rows.wrong_dlogit[i]);
    }
  }

  /// v[m] - v[y]. NaN if the true logit has overflowed: its loss would otherwise be 0 and hide the overflow.
  static double gap(double largest_wrong, double true_value) {
    return true_value == std::numeric_limits<double>::infinity() ? std::numeric_limits<double>::quiet_NaN()
                                                                 : largest_wrong - true_value;
  }

  /// The label of a row that counts, numbered among all C classes.
  std::int64_t label_of_all(const TileRows& rows, std::size_t i) const {
    return weight(rows, i) > 0 ? rows_.labels.data()[rows.begin + static_cast<std::int64_t>(i)] : 0;
  }

  double adjusted(double z, std::int64_t label) const {
    const auto y = static_cast<std::size_t>(label);
    return (params_.slope.empty() ? z : params_.slope[y] * z) + (params_.offset.empty() ? 0 : params_.offset[y]);
  }

  double margin(std::int64_t label, std::int64_t rival) const {
    return (params_.true_margin.empty() ? 0 : params_.true_margin[static_cast<std::size_t>(label)]) +
           (params_.rival_margin.empty() || rival < 0 ? 0 : params_.rival_margin[static_cast<std::size_t>(rival)]);
  }

  double largest_wrong_logit(const T* z, std::int64_t label) const {
    if (!small_c()) return static_cast<double>(largest_wrong_logit_(z, logits_.columns, label));
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < logits_.columns; ++j)
      if (j != label) largest = std::max(largest, to_double(z[j]));
    return largest;
  }

  void mark_by_argmax(const TileRows& rows, std::size_t i) const {
    const auto row = static_cast<std::size_t>(rows.begin) + i;
    rows_.correct[row] = is_argmax(logits_of(rows, i), logits_.columns, rows_.labels[row]) ? 1 : 0;
  }

  /// Uses the results of the sweep; only ties, NaN and rows that do not count need another look at the logits.
  void mark_correct(const TileRows& rows, std::size_t i) const {
    const double ahead = adjusts_logits() ? rows.rival_logit[i] - rows.true_logit[i] : rows.gap[i];
    const bool known = weight(rows, i) > 0 && !std::isnan(rows.sum[i]) && (ahead < 0 || ahead > 0);
    if (!known) return mark_by_argmax(rows, i);
    rows_.correct[static_cast<std::size_t>(rows.begin) + i] = ahead < 0 ? 1 : 0;
  }

  /// Converts cross entropy c and q = 1 - exp(-c) into the loss and its derivative with respect to the distance.
  void apply_shape(std::size_t i, double& value, double& slope) const {
    const ShapedLoss shaped =
        hooks_.shape({value, slope, std::exp(-value)}, rows_.feature_norms[i], rows_.class_weights[i]);
    value = shaped.value;
    slope = shaped.by_distance;
    rows_.norm_gradient[i] = rows_.weights[i] > 0 ? rows_.weights[i] * gradient_scale_ * shaped.by_norm : 0;
  }

  const KernelParams& params_;
  const LossHooks& hooks_;
  MatrixView<const T> logits_;
  MatrixView<T> gradient_;
  BatchRows rows_;
  RowKernel<T> kernel_;
  ClassTerms<A> terms_;
  A (*largest_wrong_logit_)(const T* row, std::int64_t classes, std::int64_t label);
  RowEpilogue epilogue_;
  double gradient_scale_;
  std::int64_t class_offset_;
};

}  // namespace ulmus::detail
