#include "ulmus/eval/costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ulmus/base/error.hpp"

namespace ulmus {

std::vector<std::int64_t> decide(const ScoreMatrix& logs, const CostMatrix& costs) {
  if (costs.classes != logs.classes)
    throw Error(ErrorKind::data,
                fmt::format("the cost matrix is for {} classes, expected {}", costs.classes, logs.classes));
  std::vector<std::int64_t> chosen;
  std::vector<double> expected(static_cast<std::size_t>(logs.classes));
  for (std::int64_t i = 0; i < logs.rows(); ++i) {
    std::ranges::fill(expected, 0);
    for (std::int64_t j = 0; j < logs.classes; ++j) {
      const double p = std::exp(logs.row(i)[static_cast<std::size_t>(j)]);
      for (std::size_t k = 0; k < expected.size(); ++k) expected[k] += p * costs.at(j, static_cast<std::int64_t>(k));
    }
    chosen.push_back(std::ranges::min_element(expected) - expected.begin());
  }
  return chosen;
}

}  // namespace ulmus
