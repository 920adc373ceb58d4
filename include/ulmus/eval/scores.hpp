#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ulmus/loss/class_counts.hpp"

namespace ulmus {

/// Scores [N, C] of any tool: a row per sample, a column per class.
struct ScoreMatrix {
  std::int64_t classes = 0;
  std::vector<double> values;  ///< [N * C], row by row

  std::int64_t rows() const { return classes == 0 ? 0 : static_cast<std::int64_t>(values.size()) / classes; }
  std::span<double> row(std::int64_t i) {
    return std::span(values).subspan(static_cast<std::size_t>(i * classes), static_cast<std::size_t>(classes));
  }
  std::span<const double> row(std::int64_t i) const {
    return std::span(values).subspan(static_cast<std::size_t>(i * classes), static_cast<std::size_t>(classes));
  }
};

/// Names rows and classes in messages.
struct ScoreNames {
  std::vector<std::string> classes = {};              ///< [C]; empty: their numbers
  std::function<std::string(std::int64_t)> row = {};  ///< "'scores.csv' line 7"; empty: "row 5"
};

/// Log probabilities [N, C] of probabilities, or of logits: log(p[j] / sum p) or log_softmax(z). A sum that differs
/// from 1 by at most 1e-5 counts as 1. A probability of 0 becomes 1e-300, so that it has a logarithm.
///
/// Throws Error{data} for fewer than two classes and, with its row and class, for NaN, a logit that is not finite, a
/// probability outside [0, 1], and a row whose sum differs from 1 by more than 0.001 (what float16 and rounding to four
/// digits leave).
ScoreMatrix log_scores(ScoreMatrix scores, bool logits, const ScoreNames& names = {});

/// exp of log probabilities, [N, C].
ScoreMatrix probabilities(ScoreMatrix logs);

/// Log probabilities for other class frequencies than those the model learned: p[j] prior[j] / trained[j], normalised
/// (Saerens et al., Neural Computation 2002). Both priors are [C] and above 0.
void correct_prior(ScoreMatrix& logs, std::span<const double> trained, std::span<const double> prior);

/// Post-hoc logit adjustment: p[j] pi[j]^-tau, normalised (Menon et al., ICLR 2021), with pi the prior of the counts.
/// Throws Error{data} for a class without training samples.
void logit_adjustment(ScoreMatrix& logs, const ClassCounts& train_counts, double tau);

/// softmax((log p - log trained) / temperature + log trained): the temperature divides what the sample says and leaves
/// the class frequencies `trained`, [C] or empty for equal ones. Throws Error{usage} unless it is finite and above 0.
void apply_temperature(ScoreMatrix& logs, double temperature, std::span<const double> trained = {});

/// argmax over j of log p[j] + offsets[j]; the lowest class on a tie. `offsets` is [C], or empty for zeros. [N]
std::vector<std::int64_t> most_probable(const ScoreMatrix& logs, std::span<const double> offsets = {});

}  // namespace ulmus
