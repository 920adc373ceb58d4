#pragma once

#include <cstdint>
#include <vector>

#include "ulmus/base/random.hpp"
#include "ulmus/eval/scores.hpp"

namespace ulmus::test {

/// Sixteen samples of three classes, 9, 5 and 2, as probabilities with two digits.
inline const ScoreMatrix k_scores{
    .classes = 3,
    .values = {0.8,  0.08, 0.12, 0.72, 0.24, 0.04, 0.7,  0.09, 0.21, 0.96, 0.04, 0.0,  0.29, 0.63, 0.08, 0.5,
               0.43, 0.07, 0.79, 0.15, 0.06, 0.9,  0.08, 0.02, 0.79, 0.2,  0.01, 0.46, 0.4,  0.14, 0.12, 0.77,
               0.11, 0.47, 0.41, 0.12, 0.29, 0.41, 0.3,  0.05, 0.87, 0.08, 0.12, 0.62, 0.26, 0.6,  0.33, 0.07}};
inline const std::vector<std::int64_t> k_labels = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2};
inline const std::vector<double> k_costs = {0, 1, 2, 3, 0, 1, 20, 5, 0};

/// The last class against the others.
inline ScoreMatrix last_class_alone() {
  ScoreMatrix two{.classes = 2};
  for (std::int64_t i = 0; i < k_scores.rows(); ++i) {
    const auto row = k_scores.row(i);
    two.values.insert(two.values.end(), {row[0] + row[1], row[2]});
  }
  return two;
}
inline std::vector<std::int64_t> is_last_class() {
  std::vector<std::int64_t> labels;
  for (const std::int64_t y : k_labels) labels.push_back(y == 2);
  return labels;
}

/// Log probabilities of classes whose frequencies fall by a factor of 20, with labels; reproducible.
struct RandomScores {
  ScoreMatrix logs;
  std::vector<std::int64_t> labels;

  RandomScores(std::int64_t rows, std::int64_t classes, std::uint64_t seed = 0, double signal = 1.5) {
    Stream stream(seed, "scores");
    ScoreMatrix logits{.classes = classes};
    for (std::int64_t i = 0; i < rows; ++i) {
      const double place = stream.uniform();
      const auto y = static_cast<std::int64_t>(static_cast<double>(classes) * place * place);
      labels.push_back(y);
      for (std::int64_t j = 0; j < classes; ++j)
        logits.values.push_back(stream.normal() + (j == y ? signal : 0) -
                                3 * static_cast<double>(j) / static_cast<double>(classes));
    }
    logs = log_scores(std::move(logits), true);
  }
};

}  // namespace ulmus::test
