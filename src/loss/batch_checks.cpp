#include "loss/batch_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ulmus/base/error.hpp"

namespace ulmus::detail {
namespace {

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorKind::data, message); }

/// Throws unless all addresses of a matrix can be computed without overflow.
void check_size(std::string_view what, std::int64_t rows, std::int64_t row_stride, std::int64_t element_bytes) {
  if (rows > 0 && row_stride > std::numeric_limits<std::ptrdiff_t>::max() / element_bytes / rows)
    reject(fmt::format("{} of {} rows with row stride {} is larger than memory can be", what, rows, row_stride));
}

void check_matrix(MatrixView<const double> matrix, std::string_view what, std::int64_t rows, std::int64_t columns) {
  if (matrix.empty()) return;
  if (matrix.rows != rows || matrix.columns != columns || matrix.row_stride < columns)
    reject(fmt::format("{} is [{}, {}] with row stride {}, expected [{}, {}]", what, matrix.rows, matrix.columns,
                       matrix.row_stride, rows, columns));
  check_size(what, rows, matrix.row_stride, sizeof(double));
}

MatrixView<const double> read_only(MatrixView<double> matrix) {
  return {matrix.data, matrix.rows, matrix.columns, matrix.row_stride};
}

void check_features(const FeatureBatch& of, std::int64_t rows, std::int64_t classes) {
  const std::int64_t width = of.features.columns;
  if (width < 0) reject(fmt::format("the matrix of features has {} columns, expected 0 or more", width));
  check_matrix(of.features, "the matrix of features", rows, width);
  check_matrix(read_only(of.gradient), "the gradient of the features", rows, width);
  check_matrix(of.head_weight, "the weight of the head", classes, width);
  check_matrix(read_only(of.head_weight_gradient), "the gradient of the head's weight", classes, width);
  for (const std::size_t length : {of.head_bias.size(), of.head_bias_gradient.size()})
    if (length != 0 && static_cast<std::int64_t>(length) != classes)
      reject(fmt::format("the bias of the head or its gradient has {} values, expected one for each of {} classes",
                         length, classes));
}

}  // namespace

void check_logits(const Layout& logits, const Layout& gradient, std::int64_t classes) {
  const std::int64_t rows = logits.rows;
  if (logits.columns != classes)
    reject(fmt::format("the logits have {} columns, expected one for each of the {} class counts", logits.columns,
                       classes));
  if (rows < 0) reject(fmt::format("the logits have {} rows, expected 0 or more", rows));
  if (rows > 0 && logits.null) reject(fmt::format("the logits of {} rows are a null pointer", rows));
  if (logits.row_stride < classes)
    reject(fmt::format("the row stride of the logits is {}, expected at least {} columns", logits.row_stride, classes));
  check_size("the matrix of logits", rows, logits.row_stride, logits.element_bytes);
  if (gradient.null) return;
  if (gradient.rows != rows || gradient.columns != classes || gradient.row_stride < classes)
    reject(fmt::format("the gradient is [{}, {}] with row stride {}, expected [{}, {}] like the logits", gradient.rows,
                       gradient.columns, gradient.row_stride, rows, classes));
  check_size("the gradient", rows, gradient.row_stride, gradient.element_bytes);
}

void check_classes(std::int64_t columns, std::int64_t class_offset, std::int64_t classes) {
  if (columns < 1 || class_offset < 0 || columns > classes || class_offset > classes - columns)
    reject(fmt::format("the logits are of {} classes from class {} on, expected at least one and all within 0 to {}",
                       columns, class_offset, classes - 1));
}

void check_statistics(std::span<const RowStatistics> statistics, std::span<const double> weights,
                      std::int64_t classes) {
  if (statistics.size() != weights.size())
    reject(fmt::format("statistics of {} rows came with {} rows of logits, expected one each", statistics.size(),
                       weights.size()));
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (const std::int64_t rival = statistics[i].rival_class;
        weights[i] > 0 && classes > 1 && (rival < 0 || rival >= classes))
      reject(fmt::format("the rival of row {} is class {}, expected 0 to {}; merge the statistics of all shards", i,
                         rival, classes - 1));
}

void check_options(const LossBatch& batch, std::int64_t rows, std::int64_t classes) {
  const auto check_length = [rows](std::size_t length, std::string_view what) {
    if (static_cast<std::int64_t>(length) != rows)
      reject(fmt::format("{} {} came with {} rows of logits, expected one each", length, what, rows));
  };
  check_length(batch.labels.size(), "labels");
  if (!batch.losses.empty()) check_length(batch.losses.size(), "places for losses");
  if (!batch.sample_weights.empty()) check_length(batch.sample_weights.size(), "sample weights");
  if (!batch.correct.empty()) check_length(batch.correct.size(), "places for correct rows");
  if (!batch.positions.empty()) check_length(batch.positions.size(), "positions");
  const auto negative =
      std::find_if(batch.positions.begin(), batch.positions.end(), [](std::int64_t position) { return position < 0; });
  if (negative != batch.positions.end())
    reject(
        fmt::format("the position of row {} is {}, expected 0 or more", negative - batch.positions.begin(), *negative));
  if (batch.normaliser)
    for (const double value : {batch.normaliser->divisor, batch.normaliser->samples})
      if (!(value >= 0 && std::isfinite(value)))
        reject(fmt::format("the normaliser has the value {}, expected a finite number of at least 0", value));
  if (batch.threads < 0) reject(fmt::format("the number of threads is {}, expected 0 or more", batch.threads));
  if (batch.first_position < 0 || batch.first_position > std::numeric_limits<std::int64_t>::max() - rows)
    reject(fmt::format("the position of the first row is {}, expected 0 or more, and room for {} rows",
                       batch.first_position, rows));
  const auto out_of_range = [classes, ignored = batch.ignore_index.value_or(0)](std::int64_t label) {
    return (label < 0 || label >= classes) && label != ignored;  // if no label is ignored, 0 is in range anyway
  };
  const auto bad = std::find_if(batch.labels.begin(), batch.labels.end(), out_of_range);
  if (bad != batch.labels.end())
    reject(fmt::format("label {} at position {} is out of range, expected 0 to {}", *bad, bad - batch.labels.begin(),
                       classes - 1));
  for (std::size_t i = 0; i < batch.sample_weights.size(); ++i)
    if (!(batch.sample_weights[i] >= 0 && std::isfinite(batch.sample_weights[i])))
      reject(fmt::format("the sample weight at position {} is {}, expected a finite number of at least 0", i,
                         batch.sample_weights[i]));
  check_features(batch.features, rows, classes);
  check_matrix(batch.offsets, "the matrix of offsets", rows, classes);
  check_matrix(batch.noise, "the matrix of noise", rows, classes);
}

void check_needs(const LossDefinition& definition, const LossBatch& batch) {
  const auto missing = [&](std::string_view what, std::string_view field) {
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' needs {} beside the logits; hand them in as {}", definition.name, what, field));
  };
  const FeatureBatch& of = batch.features;
  if (definition.needs.features && (of.features.empty() || of.features.columns == 0))
    missing("the features that go into the head", "LossBatch::features.features");
  if (definition.needs.head && (of.head_weight.empty() || of.head_bias.empty()))
    missing("the weights and biases of a linear head", "LossBatch::features.head_weight and .head_bias");
}

}  // namespace ulmus::detail
