#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/eval/scores.hpp"

namespace ulmus {

/// Costs of predicting a class for a sample of another. Finite; a negative cost is a gain.
struct CostMatrix {
  std::int64_t classes = 0;
  std::vector<double> values;  ///< [C * C], a row per true class, a column per predicted one

  double at(std::int64_t truth, std::int64_t predicted) const {
    return values[static_cast<std::size_t>(truth * classes + predicted)];
  }
};

/// The class of least expected cost, argmin over k of sum over j of p[j] cost[j, k], for each row of log probabilities
/// [N, C]; the lowest on a tie. It is as good as the probabilities are. Throws Error{data} for a matrix of other
/// classes. [N]
std::vector<std::int64_t> decide(const ScoreMatrix& logs, const CostMatrix& costs);

}  // namespace ulmus
