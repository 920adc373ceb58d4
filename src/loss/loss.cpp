#include "ulmus/loss/loss.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <utility>

#include "loss/row_kernel.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// A batch with fewer logits than this runs on the calling thread: starting threads would cost more than they save.
constexpr std::int64_t k_parallel_logits = 1 << 15;

const double* data_or_null(const std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::data, message); }

template <class T>
void check_batch(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient, std::int64_t classes) {
  const std::int64_t rows = logits.rows;
  const auto check_length = [rows](std::size_t length, std::string_view what) {
    if (static_cast<std::int64_t>(length) != rows)
      refuse(fmt::format("{} {} came with {} rows of logits, expected one each", length, what, rows));
  };
  if (logits.columns != classes)
    refuse(fmt::format("the logits have {} columns, expected one for each of the {} class counts", logits.columns,
                       classes));
  if (rows < 0) refuse(fmt::format("the logits have {} rows, expected 0 or more", rows));
  if (rows > 0 && logits.empty()) refuse(fmt::format("the logits of {} rows are a null pointer", rows));
  if (logits.row_stride < classes)
    refuse(fmt::format("the row stride of the logits is {}, expected at least {} columns", logits.row_stride, classes));
  if (!gradient.empty() && (gradient.rows != rows || gradient.columns != classes || gradient.row_stride < classes))
    refuse(fmt::format("the gradient is [{}, {}] with row stride {}, expected [{}, {}] like the logits", gradient.rows,
                       gradient.columns, gradient.row_stride, rows, classes));
  check_length(batch.labels.size(), "labels");
  if (!batch.losses.empty()) check_length(batch.losses.size(), "places for losses");
  if (!batch.sample_weights.empty()) check_length(batch.sample_weights.size(), "sample weights");
  if (batch.threads < 0) refuse(fmt::format("the number of threads is {}, expected 0 or more", batch.threads));
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    const std::int64_t label = batch.labels[i];
    if ((label < 0 || label >= classes) && label != batch.ignore_index)
      refuse(fmt::format("label {} at position {} is out of range, expected 0 to {}", label, i, classes - 1));
  }
  for (std::size_t i = 0; i < batch.sample_weights.size(); ++i)
    if (!(batch.sample_weights[i] >= 0 && std::isfinite(batch.sample_weights[i])))
      refuse(fmt::format("the sample weight at position {} is {}, expected a finite number of at least 0", i,
                         batch.sample_weights[i]));
}

/// The true logit is lowered by true_margin[y] + rival_margin[m]; null pointers stand for zeros.
struct Margin {
  const double* true_margin;
  const double* rival_margin;

  double operator()(std::int64_t label, std::int64_t rival) const {
    return (true_margin != nullptr ? true_margin[label] : 0) + (rival_margin != nullptr ? rival_margin[rival] : 0);
  }
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
  Margin margin;
  detail::RowEpilogue epilogue;
  double parameter;
  double gradient_scale;

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
                         .wants_rival = margin.rival_margin != nullptr,
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

    std::array<detail::RowStatistics, most> statistics;
    kernel.sweep(tile, terms, statistics.data());
    std::array<double, most> sum{}, gap{}, value, slope, pull;
    for (std::size_t i = 0; i < rows; ++i) {
      sum[i] = statistics[i].sum;
      gap[i] = terms.scale * (statistics[i].gap + margin(tile_labels[i], statistics[i].rival));
    }
    epilogue(parameter, tile.rows, sum.data(), gap.data(), value.data(), slope.data());
    for (std::size_t i = 0; i < rows; ++i) {
      losses.data()[begin + i] = weight[i] > 0 ? weight[i] * value[i] : 0;
      pull[i] = weight[i] * slope[i] * terms.scale * gradient_scale;
    }
    if (gradient.empty()) return;
    kernel.spread(tile, terms, statistics.data(), pull.data());
    for (std::size_t i = 0; i < rows; ++i)
      if (!(weight[i] > 0)) std::fill_n(gradient.row(begin + i), logits.columns, T(0));
  }
};

/// The only class is right whatever its logit says.
template <class T>
double one_class(const LossBatch& batch, MatrixView<T> gradient) {
  std::fill(batch.losses.begin(), batch.losses.end(), 0);
  if (!gradient.empty())
    for (std::int64_t i = 0; i < gradient.rows; ++i) *gradient.row(i) = T(0);
  return 0;
}

/// Calls work(me, of) once on each of a team of threads, the calling one among them.
template <class Work>
void on_threads(int threads, const Work& work) {
#ifdef __SANITIZE_THREAD__  // which cannot see that libgomp's threads wait for each other
  std::vector<std::thread> team;
  for (int me = 1; me < threads; ++me) team.emplace_back([&work, me, threads] { work(me, threads); });
  work(0, threads);
  for (std::thread& thread : team) thread.join();
#else
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num(), omp_get_num_threads());  // OpenMP may give fewer threads than asked for
#endif
}

template <class T>
void run_loop(const BatchLoop<T>& loop, int most_threads) {
  const std::int64_t tiles = loop.tiles();
  const bool pays = loop.logits.rows * loop.logits.columns >= k_parallel_logits;
  const auto threads = static_cast<int>(
      std::min<std::int64_t>(pays ? tiles : 1, most_threads == 0 ? omp_get_max_threads() : most_threads));
  std::vector<typename BatchLoop<T>::Workspace> workspaces(static_cast<std::size_t>(threads));
  for (auto& workspace : workspaces) workspace = loop.make_workspace();
  if (threads == 1) return loop.run(0, tiles, workspaces[0]);
  on_threads(threads, [&](std::int64_t me, std::int64_t of) {
    loop.run(tiles * me / of, tiles * (me + 1) / of, workspaces[static_cast<std::size_t>(me)]);
  });
}

}  // namespace

std::string_view name_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::mean:
      return "mean";
    case Reduction::weighted_mean:
      return "weighted-mean";
    case Reduction::none:
      return "none";
  }
  throw std::logic_error("a reduction without a name");
}

Reduction parse_reduction(std::string_view name) {
  std::vector<std::string> names;
  for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none}) {
    if (name == name_of(reduction)) return reduction;
    names.emplace_back(name_of(reduction));
  }
  throw Error(ErrorKind::usage, fmt::format("unknown reduction '{}'; {}", name, suggest(name, names)));
}

Loss::Loss(LossSpec spec, ClassCounts counts)
    : spec_(std::move(spec)), counts_(std::move(counts)), terms_(spec_.member().fill(spec_.keys(), counts_)) {
  // The affine prologue reads both tables.
  const auto classes = static_cast<std::size_t>(counts_.classes());
  if (terms_.slope.empty() && !terms_.offset.empty()) terms_.slope.assign(classes, 1);
  if (terms_.offset.empty() && !terms_.slope.empty()) terms_.offset.assign(classes, 0);
  slope_.assign(terms_.slope.begin(), terms_.slope.end());
  offset_.assign(terms_.offset.begin(), terms_.offset.end());
  if (spec_.rule()) weights_ = spec_.rule()->weights(spec_.rule_keys(), counts_);
  weights_in_force_ = spec_.rule() && !spec_.deferred();
}

std::span<const double> Loss::class_weights() const {
  return weights_in_force_ ? std::span<const double>(weights_) : std::span<const double>();
}

void Loss::set_epoch(std::int64_t epoch, std::int64_t epochs) {
  if (epoch < 0 || epoch >= epochs)
    throw Error(ErrorKind::usage, fmt::format("epoch is {} of {}, expected 0 to {}", epoch, epochs, epochs - 1));
  if (spec_.deferred()) weights_in_force_ = epoch >= spec_.reweight_epoch(epochs);
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

template <class T>
double Loss::evaluate(MatrixView<const T> logits, const LossBatch& batch, MatrixView<T> gradient) const {
  using A = detail::Compute<T>;
  const std::int64_t rows = logits.rows;
  check_batch(logits, batch, gradient, counts_.classes());
  if (rows == 0) return 0;
  if (counts_.classes() == 1) return one_class(batch, gradient);

  std::vector<double> weights(static_cast<std::size_t>(rows));
  double sum_of_weights = 0;
  std::int64_t counted = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::int64_t label = batch.labels[i];
    if (label == batch.ignore_index) continue;
    weights[i] = (batch.sample_weights.empty() ? 1 : batch.sample_weights[i]) *
                 (weights_in_force_ ? weights_[static_cast<std::size_t>(label)] : 1);
    sum_of_weights += weights[i];
    ++counted;
  }
  if (batch.reduction == Reduction::none) counted = 1;
  const double divisor = batch.reduction == Reduction::weighted_mean ? sum_of_weights : static_cast<double>(counted);
  const double gradient_scale = divisor > 0 ? 1 / divisor : 0;

  std::vector<double> own_losses(batch.losses.empty() ? weights.size() : 0);
  const std::span<double> losses = batch.losses.empty() ? own_losses : batch.losses;

  detail::ClassTerms<A> terms{.scale = terms_.scale};
  const bool affine = !terms_.slope.empty();
  if (affine) {
    if constexpr (std::is_same_v<A, double>) {
      terms.slope = terms_.slope.data();
      terms.offset = terms_.offset.data();
    } else {
      terms.slope = slope_.data();
      terms.offset = offset_.data();
    }
    terms.slopes_are_one = std::all_of(terms_.slope.begin(), terms_.slope.end(), [](double a) { return a == 1; });
  }
  const detail::RowKernels& kernels = detail::row_kernels();
  const auto& of_type = kernels.of<T>();
  const bool narrow = logits.columns <= detail::k_narrow_classes, plain = terms_.focal_gamma == 0;
  run_loop<T>({.logits = logits,
               .gradient = gradient,
               .labels = batch.labels,
               .weights = weights,
               .losses = losses,
               .kernel = narrow ? (affine ? of_type.narrow_affine : of_type.narrow_uniform)
                                : (affine ? of_type.wide_affine : of_type.wide_uniform),
               .terms = terms,
               .margin = {data_or_null(terms_.true_margin), data_or_null(terms_.rival_margin)},
               .epilogue = plain ? kernels.plain : kernels.focal,
               .parameter = terms_.focal_gamma,
               .gradient_scale = gradient_scale},
              batch.threads);
  return std::accumulate(losses.begin(), losses.end(), 0.0) * gradient_scale;
}

template double Loss::evaluate(MatrixView<const float>, const LossBatch&, MatrixView<float>) const;
template double Loss::evaluate(MatrixView<const double>, const LossBatch&, MatrixView<double>) const;
template double Loss::evaluate(MatrixView<const BFloat16>, const LossBatch&, MatrixView<BFloat16>) const;
template double Loss::evaluate(MatrixView<const Half>, const LossBatch&, MatrixView<Half>) const;

}  // namespace ulmus
