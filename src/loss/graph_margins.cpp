#include "ulmus/loss/graph_margins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "loss/row_math.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

constexpr double k_floor = 1e-6;  // lower bound of distributions and divergences, released code

using Row = std::span<const double>;

/// The Jensen-Shannon divergence of two distributions, natural logarithms.
double divergence(Row a, Row b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    if (a[j] == b[j]) continue;  // contributes nothing; most classes are far from both
    const double middle = (a[j] + b[j]) / 2;
    sum += a[j] * std::log(a[j] / middle) + b[j] * std::log(b[j] / middle);
  }
  return sum / 2;
}

void check(const Graph& graph, std::span<const std::int64_t> labels, std::span<const bool> is_train,
           MatrixView<const double> logits, std::int64_t classes) {
  const auto reject = [](const std::string& message) { throw Error(ErrorKind::data, message); };
  const auto nodes = static_cast<std::size_t>(graph.nodes);
  if (labels.size() != nodes || is_train.size() != nodes || logits.rows != graph.nodes || logits.columns != classes)
    reject(
        fmt::format("{} labels, {} training marks and logits [{}, {}] came with {} nodes and {} class counts, "
                    "expected one of each for every node",
                    labels.size(), is_train.size(), logits.rows, logits.columns, nodes, classes));
  if (graph.source.size() != graph.target.size())
    reject(fmt::format("the graph has {} sources and {} targets, expected one of each for every edge",
                       graph.source.size(), graph.target.size()));
  for (std::size_t k = 0; k < graph.source.size(); ++k)
    for (const std::int64_t end : {graph.source[k], graph.target[k]})
      if (end < 0 || end >= graph.nodes)
        reject(fmt::format("edge {} touches node {}, expected 0 to {}", k, end, graph.nodes - 1));
  for (std::size_t v = 0; v < nodes; ++v)
    if (is_train[v] && (labels[v] < 0 || labels[v] >= classes))
      reject(fmt::format("label {} of training node {} is out of range, expected 0 to {}", labels[v], v, classes - 1));
}

}  // namespace

GraphMargins graph_margins(const Graph& graph, std::span<const std::int64_t> labels, std::span<const bool> is_train,
                           MatrixView<const double> logits, const ClassCounts& counts, double phi) {
  check(graph, labels, is_train, logits, counts.classes());
  const auto classes = static_cast<std::size_t>(counts.classes()), nodes = static_cast<std::size_t>(graph.nodes);
  const auto row = [classes](auto& matrix, std::size_t i) { return std::span(matrix).subspan(i * classes, classes); };

  std::vector<double> temperature = counts.prior();
  for (double& t : temperature) t = 0.4 * t + 0.6;
  const double hottest = *std::max_element(temperature.begin(), temperature.end());
  for (double& t : temperature) t = phi * (t + 1 - hottest);
  std::vector<double> predicted(nodes * classes);
  for (std::size_t v = 0; v < nodes; ++v) {
    const std::span<double> p = row(predicted, v);
    if (is_train[v]) {
      p[static_cast<std::size_t>(labels[v])] = 1;
      continue;
    }
    const double* z = logits.row(static_cast<std::int64_t>(v));
    for (std::size_t j = 0; j < classes; ++j) p[j] = temperature[j] * z[j];
    detail::softmax(p);
  }

  std::vector<double> around = predicted, degree(nodes, 1);
  for (std::size_t k = 0; k < graph.source.size(); ++k) {
    const auto from = static_cast<std::size_t>(graph.source[k]), to = static_cast<std::size_t>(graph.target[k]);
    for (std::size_t j = 0; j < classes; ++j) around[to * classes + j] += predicted[from * classes + j];
    ++degree[to];
  }
  std::vector<double> usual(classes * classes), members(classes);
  for (std::size_t v = 0; v < nodes; ++v) {
    for (double& q : row(around, v)) q = q / degree[v];
    if (!is_train[v]) continue;
    const auto y = static_cast<std::size_t>(labels[v]);
    for (std::size_t j = 0; j < classes; ++j) usual[y * classes + j] += around[v * classes + j];
    ++members[y];
  }
  for (double& q : around) q = std::max(q, k_floor);
  for (std::size_t c = 0; c < classes; ++c)
    for (double& q : row(usual, c)) q = std::max(members[c] > 0 ? q / members[c] : 0, k_floor);

  std::vector<double> between(classes * classes);  // between classes with training nodes
  for (std::size_t a = 0; a < classes; ++a)
    for (std::size_t b = 0; b < a && members[a] > 0; ++b)
      if (members[b] > 0)
        between[a * classes + b] = between[b * classes + a] =
            std::max(divergence(row(usual, a), row(usual, b)), k_floor);

  GraphMargins margins;
  for (std::size_t v = 0; v < nodes; ++v) {
    if (!is_train[v]) continue;
    const auto y = static_cast<std::size_t>(labels[v]);
    const Row q = row(around, v), own = row(usual, y);
    const double to_own = divergence(q, own);
    for (std::size_t j = 0; j < classes; ++j) {
      const bool neutral = j == y || members[j] == 0;
      const double apart = between[y * classes + j], to_other = neutral ? 0 : divergence(q, row(usual, j));
      margins.connectivity.push_back(neutral ? 1 : std::min(1.0, q[y] / own[y] * (own[j] / q[j])));
      margins.distribution.push_back(
          neutral ? 0 : (to_own * to_own + apart * apart - to_other * to_other) / (2 * apart * apart));
    }
  }
  return margins;
}

}  // namespace ulmus
