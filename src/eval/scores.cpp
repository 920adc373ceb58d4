#include "ulmus/eval/scores.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/posthoc.hpp"

namespace ulmus {
namespace {

constexpr double k_sum_tolerance = 1e-3;
constexpr double k_rounding = 1e-5;  ///< of a sum of rounded probabilities
constexpr double k_smallest = 1e-300;

class Checker {
 public:
  Checker(const ScoreNames& names, bool logits) : names_(names), logits_(logits) {}

  void check(std::span<const double> row, std::int64_t i) const {
    for (std::size_t j = 0; j < row.size(); ++j) {
      const double value = row[j];
      if (std::isnan(value) || (logits_ && std::isinf(value)))
        throw Error(ErrorKind::data,
                    fmt::format("{}: the {} of class {} is {}, expected a {}number", place(i),
                                logits_ ? "logit" : "probability", name(j), value, logits_ ? "finite " : ""));
      if (!logits_ && (value < 0 || value > 1 + k_sum_tolerance))
        throw Error(ErrorKind::data,
                    fmt::format("{}: the probability of class {} is {}, expected 0 to 1; give {} for logits", place(i),
                                name(j), format_number(value), option_name("logits")));
    }
  }

  void check_sum(double sum, std::int64_t i) const {
    if (std::abs(sum - 1) > k_sum_tolerance)
      throw Error(ErrorKind::data,
                  fmt::format("{}: the probabilities sum to {:.6g}, expected 1; divide each row by its "
                              "sum, or give {} for logits",
                              place(i), sum, option_name("logits")));
  }

 private:
  std::string place(std::int64_t i) const { return names_.row ? names_.row(i) : fmt::format("row {}", i); }
  std::string name(std::size_t j) const {
    return names_.classes.empty() ? std::to_string(j) : fmt::format("'{}'", printable(names_.classes[j]));
  }

  const ScoreNames& names_;
  bool logits_;
};

/// Replaces a row by its log_softmax.
void normalise(std::span<double> row) {
  const double top = *std::ranges::max_element(row);
  double sum = 0;
  for (const double u : row) sum += std::exp(u - top);
  const double shift = top + std::log(sum);
  for (double& u : row) u -= shift;
}

template <class Change>
void change_rows(ScoreMatrix& logs, Change change) {
  for (std::int64_t i = 0; i < logs.rows(); ++i) {
    const std::span<double> row = logs.row(i);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = change(row[j], j);
    normalise(row);
  }
}

}  // namespace

ScoreMatrix log_scores(ScoreMatrix scores, bool logits, const ScoreNames& names) {
  if (scores.classes < 2)
    throw Error(ErrorKind::data,
                fmt::format("there are scores of {} class(es), expected at least two; of two classes give both",
                            scores.classes));
  const Checker checker(names, logits);
  for (std::int64_t i = 0; i < scores.rows(); ++i) {
    const std::span<double> row = scores.row(i);
    checker.check(row, i);
    if (logits) {
      normalise(row);
      continue;
    }
    double sum = 0;
    for (const double p : row) sum += p;
    checker.check_sum(sum, i);
    if (std::abs(sum - 1) <= k_rounding) sum = 1;  // so that equal probabilities of a class stay equal
    for (double& p : row) p = std::log(std::max(p / sum, k_smallest));
  }
  return scores;
}

ScoreMatrix probabilities(ScoreMatrix logs) {
  for (double& u : logs.values) u = std::exp(u);
  return logs;
}

void correct_prior(ScoreMatrix& logs, std::span<const double> trained, std::span<const double> prior) {
  std::vector<double> shift(prior.size());
  for (std::size_t j = 0; j < shift.size(); ++j) shift[j] = std::log(prior[j] / trained[j]);
  change_rows(logs, [&](double u, std::size_t j) { return u + shift[j]; });
}

void logit_adjustment(ScoreMatrix& logs, const ClassCounts& train_counts, double tau) {
  ScoreTransform transform;
  PostHoc{.kind = PostHoc::Kind::la, .tau = tau}.apply(transform, train_counts);
  change_rows(logs, [&](double u, std::size_t j) { return u + transform.offset[j]; });
}

void apply_temperature(ScoreMatrix& logs, double temperature, std::span<const double> trained) {
  if (!(temperature > 0) || !std::isfinite(temperature))
    throw Error(ErrorKind::usage, fmt::format("the temperature is {}, expected a finite number above 0", temperature));
  std::vector<double> shift(static_cast<std::size_t>(logs.classes), 0);
  for (std::size_t j = 0; j < trained.size(); ++j) shift[j] = std::log(trained[j]);
  change_rows(logs, [&](double u, std::size_t j) { return (u - shift[j]) / temperature + shift[j]; });
}

std::vector<std::int64_t> most_probable(const ScoreMatrix& logs, std::span<const double> offsets) {
  std::vector<std::int64_t> predicted(static_cast<std::size_t>(logs.rows()));
  for (std::int64_t i = 0; i < logs.rows(); ++i) {
    const std::span<const double> row = logs.row(i);
    const auto score = [&](std::size_t j) { return row[j] + (offsets.empty() ? 0 : offsets[j]); };
    std::size_t best = 0;
    for (std::size_t j = 1; j < row.size(); ++j)
      if (score(j) > score(best)) best = j;
    predicted[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(best);
  }
  return predicted;
}

}  // namespace ulmus
