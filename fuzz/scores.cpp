#include "ulmus/eval/scores.hpp"

#include "fuzz.hpp"
#include "ulmus/data/score_file.hpp"

using namespace ulmus;

/// A table of scores with labels, and the same text as a matrix of its classes.
ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::allow_errors([&] {
    ScoreFile file = parse_scores(text, "scores.csv", {.label = "y", .label_is_optional = true});
    const auto classes = std::ssize(file.class_names);
    fuzz::require(std::ssize(file.scores) == file.rows() * classes, "every row has every score");
    fuzz::require(file.labels.empty() || std::ssize(file.labels) == file.rows(), "every row has a label");
    fuzz::allow_errors([&] {
      const ScoreMatrix logs = log_scores({.classes = classes, .values = file.scores}, true);
      for (const double value : logs.values) fuzz::require(value == value, "log probabilities are numbers");
    });
    const auto matrix = parse_class_matrix(text, "costs.csv", file.class_names);
    fuzz::require(std::ssize(matrix) == classes * classes, "a matrix is square");
  });
  return 0;
}
