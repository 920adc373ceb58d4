#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/view.hpp"

namespace ulmus {

/// A directed graph: edge k goes from source[k] to target[k]; nodes are numbered from 0. An undirected graph contains
/// both directions. No self-loops, no duplicate edges.
struct Graph {
  std::int64_t nodes = 0;
  std::span<const std::int64_t> source;
  std::span<const std::int64_t> target;
};

/// The two topology-aware margins of the training nodes, in node order, [training nodes, C] row-major.
struct GraphMargins {
  std::vector<double> connectivity;  ///< ACM in (0, 1], 1 at the label
  std::vector<double> distribution;  ///< ADM, 0 at the label
};

/// Topology-aware margins (Song, Park, Yang, ICML 2022, arXiv 2206.12917): how much the class distribution around a
/// node differs from the typical distribution around its class. Let q[v] be the mean of the predicted distributions of
/// v and the sources of its edges, and C[c] the mean of q over the training nodes of class c:
///
///     ACM[v, j] = min(1, (q[v, y] / C[y, y]) (C[y, j] / q[v, j]))
///     ADM[v, j] = (J(q[v], C[y])^2 + J(C[y], C[j])^2 - J(q[v], C[j])^2) / (2 J(C[y], C[j])^2)
///
/// with J the Jensen-Shannon divergence; the loss `tam` adds alpha log ACM - beta ADM to the logits. The distribution
/// of a training node is its label; of other nodes it is softmax(T[j] z[j]), T[j] = phi (r[j] + 1 - max r), r[j] = 0.4
/// n[j] / sum n + 0.6. A class without training nodes has no typical distribution: ACM 1 and ADM 0 (the released code
/// returns NaN).
///
/// @param labels     [nodes], in [0, C) for training nodes, arbitrary for the others
/// @param is_train   [nodes]
/// @param logits     [nodes, C]
/// @param counts     of the training nodes, C classes
/// @param phi        temperature
/// Throws Error{data} for shapes that do not match, or a label or edge out of range.
GraphMargins graph_margins(const Graph& graph, std::span<const std::int64_t> labels, std::span<const bool> is_train,
                           MatrixView<const double> logits, const ClassCounts& counts, double phi = 1.2);

}  // namespace ulmus
