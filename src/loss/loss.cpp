#include "ulmus/loss/loss.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "loss/batch_checks.hpp"
#include "loss/definition.hpp"
#include "loss/parallel.hpp"
#include "loss/row_kernel.hpp"
#include "loss/smoothing.hpp"
#include "loss/true_logit.hpp"
#include "ulmus/base/class_values.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// The losses outside the kernel's slots take about so many logits at a time, in memory that stays in the cache.
constexpr std::int64_t k_chunk_logits = 1 << 13;

template <class T>
double wide(T value) {
  return static_cast<double>(static_cast<detail::Compute<T>>(value));
}

template <class T>
T narrow(double value) {
  return static_cast<T>(static_cast<detail::Compute<T>>(value));
}

/// While it lives, this thread's results below the smallest normal number are 0. The gradient of a wrong class is often
/// that small where logits lie far apart, and x86 stops for each: three times the time of the whole call was seen.
class FlushToZero {
#if defined(__SSE2__)
 public:
  FlushToZero() { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON); }
  ~FlushToZero() { _mm_setcsr(before_); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  const unsigned before_ = _mm_getcsr();
#endif
};

/// One batch on its way through the row kernel.
template <class T>
struct BatchLoop {
  using A = detail::Compute<T>;

  MatrixView<const T> logits;
  MatrixView<T> gradient;
  std::span<const std::int64_t> labels;
  std::span<const double> weights;  ///< [N], 0 where a row is ignored
  std::span<double> losses;
  detail::RowKernel<T> kernel;
  detail::ClassTerms<A> terms;
  A (*find_largest_wrong)(const T* row, std::int64_t classes, std::int64_t label);
  const KernelParams& numbers;
  const LossHooks& hooks;
  detail::RowEpilogue epilogue;
  double parameter;                    ///< of the epilogue's shape
  std::span<const double> parameters;  ///< [N], where it differs from row to row
  double gradient_scale;

  // For a shape that looks at more than the cross entropy.
  std::span<const double> class_weights;  ///< [N]
  std::span<const double> feature_norms;  ///< [N]
  std::span<double> norm_gradient;        ///< [N]

  bool narrow() const { return logits.columns <= detail::k_narrow_classes; }
  std::int64_t tile_rows() const {
    return narrow() ? kernel.rows : logits.columns <= detail::k_short_classes ? detail::k_most_tile_rows : 1;
  }
  std::int64_t tiles() const { return (logits.rows + tile_rows() - 1) / tile_rows(); }

  /// Memory of one thread: exponentials, where they do not lie in the gradient itself, and the blocks of the rows.
  struct Workspace {
    std::vector<A> exponentials;
    std::vector<double> maxima, sums;
  };
  Workspace make_workspace() const {
    const std::int64_t blocks = detail::block_count(logits.columns);
    Workspace workspace;
    if (narrow() || (!std::is_same_v<T, A> && !gradient.empty()))
      workspace.exponentials.resize(static_cast<std::size_t>(logits.columns * tile_rows()));
    workspace.maxima.resize(static_cast<std::size_t>(blocks * tile_rows()));
    workspace.sums.resize(static_cast<std::size_t>(blocks));
    return workspace;
  }

  void run(std::int64_t first_tile, std::int64_t last_tile, Workspace& workspace) const noexcept {
    [[maybe_unused]] const FlushToZero flush;
    for (std::int64_t t = first_tile; t < last_tile; ++t) run_tile(t, t + 1 < last_tile, workspace);
  }

  void run_tile(std::int64_t t, bool has_next, Workspace& workspace) const noexcept {
    constexpr auto most = static_cast<std::size_t>(detail::k_most_tile_rows);
    const std::int64_t begin = t * tile_rows();
    const auto rows = static_cast<std::size_t>(std::min(tile_rows(), logits.rows - begin));
    const double* weight = weights.data() + begin;
    // A row of weight 0 goes along under a label that exists.
    std::array<std::int64_t, most> tile_labels;
    for (std::size_t i = 0; i < rows; ++i) tile_labels[i] = weight[i] > 0 ? labels.data()[begin + i] : 0;
    detail::Tile<T> tile{.logits = logits.row(begin),
                         .logits_stride = logits.row_stride,
                         .gradient = gradient.empty() ? nullptr : gradient.row(begin),
                         .gradient_stride = gradient.row_stride,
                         .labels = tile_labels.data(),
                         .rows = static_cast<std::int64_t>(rows),
                         .classes = logits.columns,
                         .wants_rival = !numbers.rival_margin.empty(),
                         .next = logits.row(has_next ? begin + tile_rows() : begin),
                         .exponentials = workspace.exponentials.empty() ? nullptr : workspace.exponentials.data(),
                         .exponentials_stride = logits.columns,
                         .maxima = workspace.maxima.data(),
                         .sums = workspace.sums.data()};
    if constexpr (std::is_same_v<T, A>)
      if (tile.exponentials == nullptr) {
        tile.exponentials = tile.gradient;
        tile.exponentials_stride = tile.gradient_stride;
      }

    // The true logit's rule reads the logits, over which the sweep may write its exponentials.
    const bool moves_true_logit = numbers.true_logit.kind != TrueLogitRule::Kind::margins;
    const bool moved_logits = terms.slope != nullptr || terms.offset != nullptr;
    std::array<double, most> true_logit{}, largest_wrong{};
    for (std::size_t i = 0; moves_true_logit && i < rows; ++i) {
      const T* z = logits.row(begin + static_cast<std::int64_t>(i));
      true_logit[i] = wide(z[tile_labels[i]]);
      if (moved_logits) largest_wrong[i] = largest(z, tile_labels[i]);
    }

    std::array<detail::RowStatistics, most> statistics;
    kernel.sweep(tile, terms, statistics.data());
    std::array<double, most> shape_parameter, sum{}, gap{}, value, slope, pull, true_pull, lowered{};
    shape_parameter.fill(parameter);
    true_pull.fill(1);
    if (moves_true_logit) {
      for (std::size_t i = 0; !moved_logits && i < rows; ++i) largest_wrong[i] = true_logit[i] + statistics[i].gap;
      std::array<double, most> moved;
      detail::move_true_logits(numbers.true_logit, {.z = {true_logit.data(), rows},
                                                    .rival = {largest_wrong.data(), rows},
                                                    .label = {tile_labels.data(), rows},
                                                    .t = {moved.data(), rows},
                                                    .slope = {true_pull.data(), rows}});
      for (std::size_t i = 0; i < rows; ++i) lowered[i] = true_logit[i] - moved[i];
    } else {
      for (std::size_t i = 0; i < rows; ++i) lowered[i] = margin(tile_labels[i], statistics[i].rival);
    }
    for (std::size_t i = 0; i < rows; ++i) {
      if (!parameters.empty()) shape_parameter[i] = parameters[static_cast<std::size_t>(begin) + i];
      sum[i] = statistics[i].sum;
      gap[i] = terms.scale * (statistics[i].gap + lowered[i]);
    }
    epilogue(shape_parameter.data(), tile.rows, sum.data(), gap.data(), value.data(), slope.data());
    for (std::size_t i = 0; i < rows; ++i) {
      if (hooks.shape && !feature_norms.empty()) shape(begin + static_cast<std::int64_t>(i), value[i], slope[i]);
      losses.data()[begin + i] = weight[i] > 0 ? weight[i] * value[i] : 0;
      pull[i] = weight[i] * slope[i] * terms.scale * gradient_scale;
      true_pull[i] *= pull[i];
    }
    if (gradient.empty()) return;
    kernel.spread(tile, terms, statistics.data(), pull.data(), true_pull.data());
    for (std::size_t i = 0; i < rows; ++i)
      if (!(weight[i] > 0)) std::fill_n(gradient.row(begin + i), logits.columns, T(0));
  }

  double margin(std::int64_t label, std::int64_t rival) const {
    return (numbers.true_margin.empty() ? 0 : numbers.true_margin[static_cast<std::size_t>(label)]) +
           (numbers.rival_margin.empty() ? 0 : numbers.rival_margin[static_cast<std::size_t>(rival)]);
  }

  double largest(const T* z, std::int64_t label) const {
    if (!narrow()) return static_cast<double>(find_largest_wrong(z, logits.columns, label));
    double most = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < logits.columns; ++j)
      if (j != label) most = std::max(most, wide(z[j]));
    return most;
  }

  /// Cross entropy c and q = 1 - exp(-c) become the loss and its derivative by the distance.
  void shape(std::int64_t row, double& value, double& slope) const {
    const auto i = static_cast<std::size_t>(row);
    const ShapedLoss shaped = hooks.shape({value, slope, std::exp(-value)}, feature_norms[i], class_weights[i]);
    value = shaped.value;
    slope = shaped.by_distance;
    norm_gradient[i] = weights[i] > 0 ? weights[i] * gradient_scale * shaped.by_norm : 0;
  }
};

/// The only class is right, whatever number its logit is.
template <class T>
double one_class(MatrixView<const T> logits, std::span<const double> weights, MatrixView<T> gradient,
                 std::span<double> losses) {
  double sum = 0;
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool broken = weights[at] > 0 && !std::isfinite(wide(*logits.row(i)));
    const double value = broken ? std::numeric_limits<double>::quiet_NaN() : 0;
    if (!losses.empty()) losses[at] = value;
    if (!gradient.empty()) *gradient.row(i) = narrow<T>(value);
    sum += value;
  }
  return sum;
}

template <class T>
void run_loop(const BatchLoop<T>& loop, int most_threads) {
  const std::int64_t tiles = loop.tiles();
  const int threads = detail::team_size(loop.logits.rows * loop.logits.columns, tiles, most_threads);
  std::vector<typename BatchLoop<T>::Workspace> workspaces(static_cast<std::size_t>(threads));
  for (auto& workspace : workspaces) workspace = loop.make_workspace();
  if (threads == 1) return loop.run(0, tiles, workspaces[0]);
  detail::on_threads(threads, [&](std::int64_t me, std::int64_t of) {
    loop.run(tiles * me / of, tiles * (me + 1) / of, workspaces[static_cast<std::size_t>(me)]);
  });
}

/// How samples weigh in a batch.
struct Weighting {
  std::vector<double> weights;        ///< [N], 0 where a row is ignored
  std::vector<double> class_weights;  ///< [N]
  double gradient_scale = 0;          ///< 1 / divisor of the reduction
  double sample_divisor = 1;          ///< that of a term without class weights

  /// Sample::unweighted of row i.
  double unweighted(std::size_t i) const {
    return gradient_scale > 0 && class_weights[i] > 0 ? 1 / (gradient_scale * sample_divisor * class_weights[i]) : 0;
  }
};

Weighting weigh(const LossBatch& batch, std::span<const double> of_class) {
  Weighting result;
  result.weights.resize(batch.labels.size());
  result.class_weights.assign(batch.labels.size(), 1);
  double sum = 0, sum_of_samples = 0;
  std::int64_t counted = 0;
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    const std::int64_t label = batch.labels[i];
    if (label == batch.ignore_index) continue;
    if (!of_class.empty()) result.class_weights[i] = of_class[static_cast<std::size_t>(label)];
    const double of_sample = batch.sample_weights.empty() ? 1 : batch.sample_weights[i];
    result.weights[i] = of_sample * result.class_weights[i];
    sum += result.weights[i];
    sum_of_samples += of_sample;
    ++counted;
  }
  const bool weighted = batch.reduction == Reduction::weighted_mean;
  if (batch.reduction == Reduction::none) counted = 1;
  const double divisor = weighted ? sum : static_cast<double>(counted);
  result.gradient_scale = divisor > 0 ? 1 / divisor : 0;
  result.sample_divisor = weighted ? sum_of_samples : static_cast<double>(counted);
  return result;
}

/// The losses that look at a row in double: calls of_row(i, sample, logits, workspace) for every row that counts, on a
/// team; a chunk of rows is one thread's.
template <class T>
struct RowsInDouble {
  MatrixView<const T> logits;
  const LossBatch& batch;
  const Weighting& weighting;

  std::int64_t chunk_rows() const { return std::max<std::int64_t>(1, k_chunk_logits / logits.columns); }

  template <class OfChunk>
  void each_chunk(OfChunk of_chunk) const {
    const std::int64_t chunks = (logits.rows + chunk_rows() - 1) / chunk_rows();
    const int threads = detail::team_size(logits.rows * logits.columns, chunks, batch.threads);
    detail::on_threads(threads, [&](std::int64_t me, std::int64_t of) {
      for (std::int64_t c = chunks * me / of; c < chunks * (me + 1) / of; ++c)
        of_chunk(c * chunk_rows(), std::min(logits.rows, (c + 1) * chunk_rows()));
    });
  }

  Sample read(std::int64_t i, std::span<double> row) const {
    const T* z = logits.row(i);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = wide(z[j]);
    Sample sample{.logits = row,
                  .label = batch.labels[static_cast<std::size_t>(i)],
                  .position = batch.first_position + i,
                  .unweighted = weighting.unweighted(static_cast<std::size_t>(i))};
    if (!batch.noise.empty()) sample.noise = {batch.noise.row(i), row.size()};
    return sample;
  }
};

/// True for a row in which something has overflowed or is no number; -infinity is a class that is masked.
bool has_overflowed(std::span<const double> logits) {
  std::int64_t overflowed = 0;  // as wide as a logit, so that the loop goes in vectors
  for (const double z : logits) overflowed += !(z < std::numeric_limits<double>::infinity());
  return overflowed > 0;
}

/// A loss with a loss of its own for each row.
template <class T>
void run_rows(const RowsInDouble<T>& rows,
              const std::function<double(const Sample& sample, std::span<double> gradient)>& row_loss,
              MatrixView<T> gradient, std::span<double> losses) {
  const auto classes = static_cast<std::size_t>(rows.logits.columns);
  rows.each_chunk([&](std::int64_t begin, std::int64_t end) {
    std::vector<double> row(classes), pull(classes);
    for (std::int64_t i = begin; i < end; ++i) {
      const double weight = rows.weighting.weights[static_cast<std::size_t>(i)];
      double& loss = losses[static_cast<std::size_t>(i)];
      loss = 0;
      if (!(weight > 0)) {
        std::fill(pull.begin(), pull.end(), 0);
      } else if (const Sample sample = rows.read(i, row); has_overflowed(row)) {
        loss = std::numeric_limits<double>::quiet_NaN();
        std::fill(pull.begin(), pull.end(), loss);
      } else {
        loss = weight * row_loss(sample, pull);
        for (double& g : pull) g *= weight * rows.weighting.gradient_scale;
      }
      if (!gradient.empty()) std::transform(pull.begin(), pull.end(), gradient.row(i), narrow<T>);
    }
  });
}

/// A loss with offsets of its own for each row: they are added to a copy of the row, which goes through the kernel.
template <class T, class MakeLoop>
void run_offset(const RowsInDouble<T>& rows, const LossHooks& hooks, const LossState& state,
                MatrixView<const double> offsets, double scale, MatrixView<T> gradient, std::span<double> losses,
                MakeLoop make_loop) {
  using A = detail::Compute<T>;
  const std::int64_t classes = rows.logits.columns;
  rows.each_chunk([&](std::int64_t begin, std::int64_t end) {
    const auto size = static_cast<std::size_t>(classes);
    std::vector<double> row(size), offset(size);
    std::vector<A> moved(size * static_cast<std::size_t>(end - begin));
    for (std::int64_t i = begin; i < end; ++i) {
      const MatrixView<A> copy(moved.data(), end - begin, classes);
      if (!(rows.weighting.weights[static_cast<std::size_t>(i)] > 0)) continue;  // zeros will do
      const Sample sample = rows.read(i, row);
      std::fill(offset.begin(), offset.end(), 0);
      if (!offsets.empty()) std::copy_n(offsets.row(i), classes, offset.begin());
      if (hooks.row_offset) hooks.row_offset(sample, state, offset);
      for (std::size_t j = 0; j < size; ++j) copy.row(i - begin)[j] = static_cast<A>(row[j] + offset[j] / scale);
    }
    const auto first = static_cast<std::size_t>(begin), count = static_cast<std::size_t>(end - begin);
    MatrixView<A> target;
    if (!gradient.empty()) {
      if constexpr (std::is_same_v<T, A>)
        target = {gradient.row(begin), end - begin, classes, gradient.row_stride};
      else
        target = {moved.data(), end - begin, classes};
    }
    BatchLoop<A> loop = make_loop(MatrixView<const A>(moved.data(), end - begin, classes), target);
    loop.labels = rows.batch.labels.subspan(first, count);
    loop.weights = std::span(rows.weighting.weights).subspan(first, count);
    loop.losses = losses.subspan(first, count);
    auto workspace = loop.make_workspace();
    loop.run(0, loop.tiles(), workspace);
    if constexpr (!std::is_same_v<T, A>)
      if (!gradient.empty())
        for (std::int64_t i = begin; i < end; ++i)
          std::transform(target.row(i - begin), target.row(i - begin) + classes, gradient.row(i),
                         [](A g) { return static_cast<T>(g); });
  });
}

void clear(const FeatureBatch& of) {
  for (const MatrixView<double>& matrix : {of.gradient, of.head_weight_gradient})
    for (std::int64_t i = 0; i < matrix.rows && !matrix.empty(); ++i) std::fill_n(matrix.row(i), matrix.columns, 0.0);
  std::fill(of.head_bias_gradient.begin(), of.head_bias_gradient.end(), 0.0);
}

/// NaN where one is infinite: the influence of such a sample would take its loss to 0 and hide that.
std::vector<double> l1_norms(MatrixView<const double> features) {
  std::vector<double> norms;
  for (std::int64_t i = 0; i < features.rows; ++i) {
    const double norm = std::accumulate(features.row(i), features.row(i) + features.columns, 0.0,
                                        [](double sum, double h) { return sum + std::fabs(h); });
    norms.push_back(std::isfinite(norm) ? norm : std::numeric_limits<double>::quiet_NaN());
  }
  return norms;
}

}  // namespace

namespace {

/// The weights of +weights=FILE.
std::vector<double> read_weights(const std::string& path, const ClassCounts& counts) {
  const ClassValues file = read_class_values(path);
  std::vector<double> weights;
  for (const ClassValues::Line& line : in_class_order(file, counts.names(), counts.classes())) {
    const double weight = parse_number(line.value, fmt::format("line {} of the class weights '{}'", line.line, path));
    if (weight < 0)
      throw Error(ErrorKind::data, fmt::format("line {} of the class weights '{}' is {}, expected at least 0",
                                               line.line, path, line.value));
    weights.push_back(weight);
  }
  return weights;
}

}  // namespace

Loss::Loss(LossSpec spec, ClassCounts counts)
    : spec_(std::move(spec)),
      counts_(std::move(counts)),
      params_(spec_.definition().make_params(spec_.keys(), counts_)),
      hooks_(spec_.definition().hooks(spec_.keys(), counts_)) {
  if (const Key* key = spec_.automatic())
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' leaves {} to the trainer, which chooses it on validation data; write a number "
                            "here, for example {}",
                            spec_.text(), key->name, spec_.with(key->name, format_number(key->automatic[0])).text()));
  for (const auto& [values, what] :
       {std::pair(&params_.slope, "slopes"), std::pair(&params_.offset, "offsets"),
        std::pair(&params_.true_margin, "margins"), std::pair(&params_.rival_margin, "margins of the rival"),
        std::pair(&params_.class_weight, "class weights")})
    detail::require_finite(*values, what);
  // Slopes of one are none.
  if (std::all_of(params_.slope.begin(), params_.slope.end(), [](double a) { return a == 1; })) params_.slope.clear();
  slope_.assign(params_.slope.begin(), params_.slope.end());
  offset_.assign(params_.offset.begin(), params_.offset.end());
  if (!params_.class_weight.empty())
    weights_ = params_.class_weight;
  else if (spec_.rule() && spec_.rule()->takes_file)
    weights_ = read_weights(spec_.rule_file(), counts_);
  else if (spec_.rule() && !spec_.resamples())
    weights_ = spec_.rule()->weights(spec_.rule_keys(), counts_);
  row_loss_ = detail::is_smoothed(params_) ? detail::smoothed_row_loss(params_, hooks_.row_offset) : hooks_.row_loss;
  state_.values = hooks_.initial_state;
  constexpr std::int64_t k_many_epochs = 1'000'000;  // epoch 0 of a long training: nothing late has begun
  set_epoch(0, k_many_epochs);
}

std::span<const double> Loss::class_weights() const {
  return weights_in_force_ ? std::span<const double>(weights_) : std::span<const double>();
}

void Loss::set_epoch(std::int64_t epoch, std::int64_t epochs) {
  if (epoch < 0 || epoch >= epochs)
    throw Error(ErrorKind::usage,
                fmt::format("epoch is {} of {}, expected 0 or more and below the number of epochs", epoch, epochs));
  active_ = epoch >= spec_.start_epoch(epochs);
  if (!params_.class_weight.empty())
    weights_in_force_ = active_;
  else if (spec_.rule() && !spec_.resamples())
    weights_in_force_ = epoch >= spec_.rule_epoch(epochs);
}

void Loss::set_class_weights(std::vector<double> weights) {
  if (static_cast<std::int64_t>(weights.size()) != counts_.classes())
    throw Error(ErrorKind::usage, fmt::format("{} class weights came, expected one for each of {} classes",
                                              weights.size(), counts_.classes()));
  for (std::size_t j = 0; j < weights.size(); ++j)
    if (!(weights[j] >= 0 && std::isfinite(weights[j])))
      throw Error(ErrorKind::usage,
                  fmt::format("the weight of class {} is {}, expected a finite number of at least 0", j, weights[j]));
  weights_ = std::move(weights);
  weights_in_force_ = true;
}

namespace {

/// The counts in a state and in an update of it, and the scores of loce: up to here every whole number is a double.
constexpr double k_largest_count = 0x1p53;

bool is_count(double value) { return value >= 0 && value <= k_largest_count; }

}  // namespace

std::int64_t Loss::state_size(std::int64_t feature_width) const {
  if (feature_width < 0)
    throw Error(ErrorKind::usage, fmt::format("the feature width is {}, expected 0 or more", feature_width));
  if (!hooks_.class_means) return static_cast<std::int64_t>(hooks_.initial_state.size());
  if (feature_width >= std::numeric_limits<std::ptrdiff_t>::max() / counts_.classes() / std::int64_t{sizeof(double)})
    throw Error(ErrorKind::usage, fmt::format("features of width {} of {} classes are larger than memory can be",
                                              feature_width, counts_.classes()));
  return counts_.classes() * (1 + feature_width);
}

std::int64_t Loss::width_of(std::int64_t size, std::string_view what) const {
  const std::int64_t classes = counts_.classes();
  if (size < 2 * classes || size % classes != 0)
    throw Error(ErrorKind::data,
                fmt::format("{} of loss '{}' has {} values, expected for each of {} classes a count and a feature of "
                            "at least one value",
                            what, spec_.text(), size, classes));
  return size / classes - 1;
}

void Loss::check_feature_width(std::int64_t feature_width) const {
  if (state_.feature_width != 0 && feature_width != state_.feature_width)
    throw Error(ErrorKind::data,
                fmt::format("the state of loss '{}' holds means of features of width {}, but features of width {} came",
                            spec_.text(), state_.feature_width, feature_width));
}

void Loss::check_state_size(std::int64_t size) const {
  if (hooks_.class_means) {
    if (size != 0) width_of(size, "the state");
  } else if (size != state_size(0)) {
    throw Error(ErrorKind::data,
                fmt::format("the state of loss '{}' has {} values, expected {}", spec_.text(), size, state_size(0)));
  }
}

void Loss::set_state(LossState state) {
  const auto size = static_cast<std::int64_t>(state.values.size());
  check_state_size(size);
  const bool means = hooks_.class_means;
  state.feature_width = means && size != 0 ? width_of(size, "the state") : 0;
  for (std::size_t k = 0; k < state.values.size(); ++k) {
    const bool count = !means || static_cast<std::int64_t>(k) < counts_.classes();
    if (count ? !is_count(state.values[k]) : !std::isfinite(state.values[k]))
      throw Error(ErrorKind::data, fmt::format("value {} of the state of loss '{}' is {}, expected {}", k, spec_.text(),
                                               state.values[k], count ? "a number from 0 to 2^53" : "a finite number"));
  }
  state_ = std::move(state);
}

template <class T>
BatchView Loss::whole(MatrixView<const T> logits, const LossBatch& batch, std::span<const std::int64_t> labels,
                      MatrixView<T> gradient) const {
  BatchView result{.rows = logits.rows,
                   .classes = counts_.classes(),
                   .labels = labels,
                   .features = batch.features,
                   .class_weights = class_weights(),
                   .first_position = batch.first_position};
  result.read_logits = [logits](std::int64_t i, std::span<double> row) {
    std::transform(logits.row(i), logits.row(i) + logits.columns, row.begin(), wide<T>);
  };
  if (!gradient.empty())
    result.add_gradient = [gradient](std::int64_t i, std::span<const double> row) {
      T* target = gradient.row(i);
      for (std::size_t j = 0; j < row.size(); ++j) target[j] = narrow<T>(wide(target[j]) + row[j]);
    };
  return result;
}

namespace {

/// Labels with -1 for the rows that do not count.
std::vector<std::int64_t> counted_labels(const LossBatch& batch, std::span<const double> weights) {
  std::vector<std::int64_t> labels(batch.labels.begin(), batch.labels.end());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (weights.empty() ? labels[i] == batch.ignore_index : !(weights[i] > 0)) labels[i] = -1;
  return labels;
}

}  // namespace

template <class T>
std::vector<double> Loss::collect_update(MatrixView<const T> logits, const LossBatch& batch) const {
  if (!is_stateful()) return {};
  detail::check_batch<T>(logits, batch, {}, counts_.classes());
  detail::check_needs(spec_.definition(), batch);
  check_feature_width(batch.features.features.columns);
  const std::vector<std::int64_t> labels = counted_labels(batch, {});
  const BatchView all = whole<T>(logits, batch, labels, {});
  return hooks_.collect_update(all, state_);
}

std::int64_t Loss::delta_size(std::int64_t feature_width) const {
  const std::int64_t size = state_size(feature_width);
  if (!is_stateful() || hooks_.class_means) return size;
  return static_cast<std::int64_t>(hooks_.collect_update({.rows = 0, .classes = counts_.classes()}, state_).size());
}

void Loss::apply_update(std::span<const double> delta) {
  if (!is_stateful()) return;
  const auto classes = static_cast<std::size_t>(counts_.classes());
  const auto size = static_cast<std::int64_t>(delta.size());
  const auto check = [&](bool right, std::size_t k) {
    if (!right)
      throw Error(ErrorKind::data, fmt::format("value {} of an update of the state of loss '{}' is {}, expected what "
                                               "measuring a batch gives",
                                               k, spec_.text(), delta[k]));
  };
  if (hooks_.class_means) {
    const std::int64_t width = width_of(size, "an update of the state");
    check_feature_width(width);
    for (std::size_t c = 0; c < classes; ++c) {
      check(is_count(delta[c]), c);
      if (delta[c] == 0) continue;
      for (std::size_t k = classes + c * static_cast<std::size_t>(width), end = k + static_cast<std::size_t>(width);
           k < end; ++k)
        check(std::isfinite(delta[k] / delta[c]), k);
    }
  } else {
    if (size != delta_size(0))
      throw Error(ErrorKind::data, fmt::format("an update of the state of loss '{}' has {} values, expected {}",
                                               spec_.text(), size, delta_size(0)));
    for (std::size_t k = 0; k < delta.size(); ++k) check(is_count(delta[k]), k);
  }
  hooks_.apply_update(state_, delta);
}

std::vector<double> Loss::offsets(MatrixView<const double> logits, const LossBatch& batch) const {
  const LossHooks& hooks = hooks_;
  const bool of_batch = hooks.batch_offset && active_;
  if (!hooks.row_offset && !of_batch) return {};
  detail::check_batch<double>(logits, batch, {}, counts_.classes());
  if (counts_.classes() == 1) return {};
  const Weighting weighting = weigh(batch, class_weights());
  std::vector<double> offsets;
  if (of_batch && batch.offsets.empty()) {
    detail::check_needs(spec_.definition(), batch);
    const std::vector<std::int64_t> labels = counted_labels(batch, weighting.weights);
    const BatchView all = whole<double>(logits, batch, labels, {});
    offsets = hooks.batch_offset(all);
  }
  offsets.resize(static_cast<std::size_t>(logits.rows * logits.columns));
  if (of_batch && !batch.offsets.empty())
    for (std::int64_t i = 0; i < logits.rows; ++i)
      std::copy_n(batch.offsets.row(i), logits.columns, offsets.begin() + i * logits.columns);
  const RowsInDouble<double> rows{logits, batch, weighting};
  std::vector<double> row(static_cast<std::size_t>(logits.columns));
  for (std::int64_t i = 0; hooks.row_offset && i < logits.rows; ++i)
    if (weighting.weights[static_cast<std::size_t>(i)] > 0)
      hooks.row_offset(rows.read(i, row), state_,
                       std::span(offsets).subspan(static_cast<std::size_t>(i * logits.columns), row.size()));
  return offsets;
}

template <class T>
double Loss::evaluate(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient) const {
  const std::int64_t rows = logits.rows;
  const LossHooks& hooks = hooks_;
  detail::check_batch(logits, batch, gradient, counts_.classes());
  const bool whole_batch = active_ && (hooks.batch_term || hooks.batch_offset);
  if (rows > 0 && active_ && (hooks.shape || (whole_batch && (hooks.batch_term || batch.offsets.empty()))))
    detail::check_needs(spec_.definition(), batch);
  if (rows > 0 && active_ && hooks.class_means) check_feature_width(batch.features.features.columns);
  if (batch.reduction == Reduction::none && active_ && hooks.batch_term)
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' has no loss of a single sample, so reduction none cannot apply; "
                            "use weighted-mean or mean",
                            spec_.text()));
  clear(batch.features);
  if (rows == 0) return 0;
  const Weighting weighting = weigh(batch, class_weights());
  if (counts_.classes() == 1) return one_class(logits, weighting.weights, gradient, batch.losses);

  std::vector<double> own_losses(batch.losses.empty() ? weighting.weights.size() : 0);
  const std::span<double> losses = batch.losses.empty() ? own_losses : batch.losses;
  std::vector<double> parameters;
  if (params_.shape == Shape::poly)
    for (std::size_t i = 0; i < weighting.weights.size(); ++i)
      parameters.push_back(params_.shape_parameter * weighting.unweighted(i));
  std::vector<double> norms, norm_gradient;
  if (hooks.shape && active_) {
    norms = l1_norms(batch.features.features);
    norm_gradient.resize(norms.size());
  }

  const detail::RowKernels& kernels = detail::row_kernels();
  const auto make_loop = [&]<class U>(MatrixView<const U> z, MatrixView<U> target) {
    using A = detail::Compute<U>;
    detail::ClassTerms<A> terms{.scale = params_.scale};
    const bool scaled = !params_.slope.empty(), shifted = !params_.offset.empty();
    const bool few = z.columns <= detail::k_narrow_classes;
    if constexpr (std::is_same_v<A, double>) {
      if (scaled) terms.slope = params_.slope.data();
      if (shifted) terms.offset = params_.offset.data();
    } else {
      if (scaled) terms.slope = slope_.data();
      if (shifted) terms.offset = offset_.data();
    }
    const auto& of_type = kernels.of<U>();
    return BatchLoop<U>{.logits = z,
                        .gradient = target,
                        .labels = batch.labels,
                        .weights = weighting.weights,
                        .losses = losses,
                        .kernel = scaled && shifted ? (few ? of_type.narrow_affine : of_type.wide_affine)
                                  : scaled          ? (few ? of_type.narrow_scaled : of_type.wide_scaled)
                                  : shifted         ? (few ? of_type.narrow_shifted : of_type.wide_shifted)
                                                    : (few ? of_type.narrow_uniform : of_type.wide_uniform),
                        .terms = terms,
                        .find_largest_wrong = of_type.largest_wrong,
                        .numbers = params_,
                        .hooks = hooks_,
                        .epilogue = params_.shape == Shape::focal  ? kernels.focal
                                    : params_.shape == Shape::poly ? kernels.poly
                                                                   : kernels.plain,
                        .parameter = params_.shape_parameter,
                        .parameters = parameters,
                        .gradient_scale = weighting.gradient_scale,
                        .class_weights = weighting.class_weights,
                        .feature_norms = norms,
                        .norm_gradient = norm_gradient};
  };

  const std::vector<std::int64_t> labels =
      whole_batch ? counted_labels(batch, weighting.weights) : std::vector<std::int64_t>();
  std::vector<double> made_offsets;
  MatrixView<const double> offsets = hooks.batch_offset && active_ ? batch.offsets : MatrixView<const double>();
  if (hooks.batch_offset && active_ && offsets.empty()) {
    const BatchView all = whole<T>(logits, batch, labels, {});
    made_offsets = hooks.batch_offset(all);
    offsets = {made_offsets.data(), rows, counts_.classes()};
  }
  // In place, the term of the whole batch must see the logits before the gradient takes their place.
  std::vector<T> kept;
  MatrixView<const T> before = logits;
  if (whole_batch && hooks.batch_term && gradient.data == logits.data) {
    for (std::int64_t i = 0; i < rows; ++i) kept.insert(kept.end(), logits.row(i), logits.row(i) + logits.columns);
    before = {kept.data(), rows, logits.columns};
  }

  const RowsInDouble<T> in_double{logits, batch, weighting};
  if (row_loss_)
    run_rows(in_double, row_loss_, gradient, losses);
  else if (hooks.row_offset || !offsets.empty())
    run_offset(in_double, hooks, state_, offsets, params_.scale, gradient, losses, make_loop);
  else
    run_loop(make_loop(logits, gradient), batch.threads);
  double value = std::accumulate(losses.begin(), losses.end(), 0.0) * weighting.gradient_scale;

  if (!norms.empty() && !batch.features.gradient.empty())
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t k = 0; k < batch.features.features.columns; ++k) {
        const double h = batch.features.features.row(i)[k];
        batch.features.gradient.row(i)[k] = h == 0 ? 0 : norm_gradient[static_cast<std::size_t>(i)] * (h < 0 ? -1 : 1);
      }
  const bool something = std::any_of(labels.begin(), labels.end(), [](std::int64_t label) { return label >= 0; });
  if (whole_batch && hooks.batch_term && something) {
    const BatchView all = whole<T>(before, batch, labels, gradient);
    if (is_stateful() && state_.values.empty()) {  // a first batch without an update before it
      LossState state = state_;
      hooks.apply_update(state, hooks.collect_update(all, state));
      value += hooks.batch_term(all, state);
    } else {
      value += hooks.batch_term(all, state_);
    }
  }
  return value;
}

template double Loss::evaluate(MatrixView<const float>, const LossBatch&, MatrixView<float>) const;
template double Loss::evaluate(MatrixView<const double>, const LossBatch&, MatrixView<double>) const;
template double Loss::evaluate(MatrixView<const BFloat16>, const LossBatch&, MatrixView<BFloat16>) const;
template double Loss::evaluate(MatrixView<const Half>, const LossBatch&, MatrixView<Half>) const;

template std::vector<double> Loss::collect_update(MatrixView<const float>, const LossBatch&) const;
template std::vector<double> Loss::collect_update(MatrixView<const double>, const LossBatch&) const;
template std::vector<double> Loss::collect_update(MatrixView<const BFloat16>, const LossBatch&) const;
template std::vector<double> Loss::collect_update(MatrixView<const Half>, const LossBatch&) const;

}  // namespace ulmus
