#include "ulmus/loss/loss.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <utility>

#include "loss/row_kernel.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// A batch with fewer logits than this runs on the calling thread: starting threads would cost more than they save.
constexpr std::int64_t k_parallel_logits = 1 << 15;

const double* data_or_null(const std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }

template <class T>
void check_batch(MatrixView<const T> logits, std::span<const std::int64_t> labels, MatrixView<T> gradient,
                 std::span<double> losses, std::int64_t classes) {
  const auto refuse = [](const std::string& message) { throw Error(ErrorKind::data, message); };
  const std::int64_t rows = logits.rows;
  if (logits.columns != classes)
    refuse(fmt::format("the logits have {} columns, expected one for each of the {} class counts", logits.columns,
                       classes));
  if (rows > 0 && logits.empty()) refuse(fmt::format("the logits of {} rows are a null pointer", rows));
  if (logits.row_stride < classes)
    refuse(fmt::format("the row stride of the logits is {}, expected at least {} columns", logits.row_stride, classes));
  if (static_cast<std::int64_t>(labels.size()) != rows)
    refuse(fmt::format("{} labels came with {} rows of logits, expected one each", labels.size(), rows));
  if (!gradient.empty() && (gradient.rows != rows || gradient.columns != classes || gradient.row_stride < classes))
    refuse(fmt::format("the gradient is [{}, {}] with row stride {}, expected [{}, {}] like the logits", gradient.rows,
                       gradient.columns, gradient.row_stride, rows, classes));
  if (!losses.empty() && static_cast<std::int64_t>(losses.size()) != rows)
    refuse(fmt::format("room for {} losses came with {} rows of logits, expected one each", losses.size(), rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t label = labels[static_cast<std::size_t>(i)];
    if (label < 0 || label >= classes)
      refuse(fmt::format("label {} at position {} is out of range, expected 0 to {}", label, i, classes - 1));
  }
}

}  // namespace

std::string_view name_of(Reduction reduction) { return reduction == Reduction::mean ? "mean" : "weighted-mean"; }

Reduction parse_reduction(std::string_view name) {
  static const std::vector<std::string> names = {"mean", "weighted-mean"};
  if (name == names[0]) return Reduction::mean;
  if (name == names[1]) return Reduction::weighted_mean;
  throw Error(ErrorKind::usage, fmt::format("unknown reduction '{}'; {}", name, suggest(name, names)));
}

Loss::Loss(LossSpec spec, ClassCounts counts)
    : spec_(std::move(spec)), counts_(std::move(counts)), terms_(spec_.member().fill(spec_.keys(), counts_)) {
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
double Loss::evaluate(MatrixView<const T> logits, std::span<const std::int64_t> labels, MatrixView<T> gradient,
                      Reduction reduction, std::span<double> losses) const {
  const std::int64_t rows = logits.rows;
  const std::int64_t classes = counts_.classes();
  check_batch(logits, labels, gradient, losses, classes);
  if (rows == 0) return 0;

  const detail::UniformPrologue prologue{terms_.scale};
  const detail::MarginEpilogue epilogue{data_or_null(terms_.true_margin), data_or_null(terms_.rival_margin),
                                        class_weights().empty() ? nullptr : weights_.data()};
  double divisor = 0;
  for (const std::int64_t label : labels) divisor += reduction == Reduction::mean ? 1 : epilogue.weight(label);
  const double gradient_scale = divisor > 0 ? 1 / divisor : 0;

  std::vector<double> own_losses;
  if (losses.empty()) {
    own_losses.resize(static_cast<std::size_t>(rows));
    losses = own_losses;
  }
#pragma omp parallel for schedule(static) if (rows > 1 && rows * classes >= k_parallel_logits)
  for (std::int64_t i = 0; i < rows; ++i)
    losses[static_cast<std::size_t>(i)] =
        detail::row_loss(logits.row(i), classes, labels[static_cast<std::size_t>(i)], prologue, epilogue,
                         gradient.empty() ? nullptr : gradient.row(i), gradient_scale);
  return std::accumulate(losses.begin(), losses.end(), 0.0) * gradient_scale;
}

template double Loss::evaluate(MatrixView<const float>, std::span<const std::int64_t>, MatrixView<float>, Reduction,
                               std::span<double>) const;
template double Loss::evaluate(MatrixView<const double>, std::span<const std::int64_t>, MatrixView<double>, Reduction,
                               std::span<double>) const;

}  // namespace ulmus
